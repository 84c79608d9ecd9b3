/** What the admin port looks at: the data plane as far as it can be asked about. */
import type { Peers } from "../peer/peers.ts";
import type { Uncacheable } from "../proxy/fetch/uncacheable.ts";
import type { Invalidations } from "../proxy/invalidation/invalidations.ts";
import type { Purges } from "../proxy/invalidation/purges.ts";
import type { Correspondence } from "../invalidation/correspondence.ts";
import type { Ownership } from "../proxy/invalidation/ownership.ts";
import type { Desk } from "../proxy/request/desk.ts";
import type { Routing } from "../proxy/request/routes.ts";
import type { View } from "../ring/view.ts";
import type { ToldDisk } from "../store/disk/disk-tier.ts";
import type { Store } from "../store/port.ts";

export interface AdministeredPlane {
  readonly desk: Desk;
  readonly current: { readonly view: View; readonly routing: Routing };
  readonly store: Store;
  /** What the store keeps on a disk as well, or would; null where there is to be none. */
  readonly disk: { readonly folder: string; readonly tier: ToldDisk } | null;
  readonly peers: Pick<Peers, "isUp" | "call">;
  readonly ownership: Ownership;
  readonly uncacheable: Uncacheable;
  readonly invalidations: Pick<Invalidations, "isInTouch" | "at">;
  readonly correspondence: Correspondence;
  readonly purges: Purges;
}
