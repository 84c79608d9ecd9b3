/** What a member is started with, and what it tells whoever runs it. */
import type { Config } from "../config/schema.ts";
import type { Log } from "../telemetry/log.ts";
import type { Addresses } from "./announcement.ts";
import type { PublishedView } from "../ring/view.ts";
import type { LastView } from "./last-view.ts";

/** What a member tells whoever runs it. */
export interface MemberOptions {
  /** Another has taken its name, or its place as the coordinator's host, and is `there`: it cannot go on. */
  readonly ousted: (reason: string, there?: PublishedView) => void;
  /** It listens, and looks for the others from now on. */
  readonly listening?: (addresses: Addresses) => void;
  /** It hosts the coordinator from now on, in the place of one that is lost. */
  readonly chosen?: () => void;
  /** An operator wants it to leave: to be stopped as by a signal. */
  readonly drain: () => void;
  /** Takes up its configuration as it is now; says what has become of it. @throws Error with why the old one stays. */
  readonly reread: () => string;
  readonly config: Config;
  readonly name: string;
  readonly secret: string;
  /** Those of before, which are still taken from others. */
  readonly olderSecrets: readonly string[];
  readonly log: Log;
  readonly version: string;
  /** Where it remembers the last view, if it hosts the coordinator. */
  readonly lastView?: LastView;
}
