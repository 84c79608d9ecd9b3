/** What a member announces of itself: where it is reached, what it is worth, where it stands, what it goes by. */
import type { Config } from "../config/schema.ts";
import type { Member } from "../ring/view.ts";
import { isWildcard } from "./refusals.ts";

/** Where a running member listens, each as `host:port`. */
export interface Addresses {
  readonly listen: string;
  readonly peer: string;
  readonly admin: string;
}

/** What the configuration does not say. */
export interface Said {
  readonly name: string;
  readonly state: Member["state"];
  readonly tls: boolean;
  readonly startedMs: number;
  readonly settings: string;
  readonly place: string | undefined;
}

/** The announcement; an address that stands for all of a machine's is replaced by one that others can dial. */
export function announcementOf({ weight, zone, advertise }: Config, addresses: Addresses, said: Said): Member {
  const reached = (address: string): string =>
    isWildcard(address) ? address.replace(/^.*:/, `${advertise ?? "127.0.0.1"}:`) : address;
  const { place, ...rest } = said;
  return {
    listen: reached(addresses.listen),
    peer: reached(addresses.peer),
    admin: reached(addresses.admin),
    pid: process.pid,
    weight,
    zone,
    ...rest,
    ...(place === undefined ? {} : { place }),
  };
}
