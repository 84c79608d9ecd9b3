"""What the original's client did, with Kazoo: reads who leads and who the members are, and follows a fail-over.

A line of JSON for each answer on standard output; ends when the leader has changed once.
"""

import json
import sys
import threading

from kazoo.client import KazooClient

hosts, chroot, cluster = sys.argv[1:4]
client = KazooClient(hosts=hosts + chroot, timeout=10)
client.start(timeout=15)
members = []
for name in sorted(client.get_children("/members/" + cluster)):
    instance = json.loads(client.get("/members/%s/%s" % (cluster, name))[0])
    members.append({"id": instance["id"], "address": instance["address"], "port": instance["port"]})
print(json.dumps({"members": members}), flush=True)

changed = threading.Event()
seen = []


@client.DataWatch("/leader")
def follow(data, stat):
    if data is None:
        return
    leader = json.loads(data)
    if seen and seen[-1]["name"] == leader["name"]:
        return
    seen.append(leader)
    print(json.dumps({"leader": leader["name"], "host": leader["host"], "port": leader["ports"]["proxy"], "epoch": leader["epoch"]}), flush=True)
    if len(seen) == 2:
        changed.set()


if not changed.wait(60):
    print("no fail-over seen", file=sys.stderr)
    sys.exit(1)
mirror = json.loads(client.get("/election")[0])
print(json.dumps({"mirror": mirror["name"]}), flush=True)
client.stop()
