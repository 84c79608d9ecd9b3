/** A member's disk tier: opened before its store, gone on from, and left in order; or why it cannot be used. */
import type { Correspondence, EarlierLife } from "../invalidation/correspondence.ts";
import type { View } from "../ring/view.ts";
import { bytesText } from "../base/sizes.ts";
import type { Config } from "../config/schema.ts";
import { unusable, type DiskTier, type ToldDisk } from "../store/disk/disk-tier.ts";
import { DiskUnusable } from "../store/disk/folder.ts";
import { openDisk, type OpenDisk } from "../store/disk/open-disk.ts";
import type { HeardState } from "../store/pages/heard.ts";
import type { PageStore } from "../store/pages/page-store.ts";
import type { Clock } from "./clock.ts";
import { StartError } from "./start-error.ts";

/** The disk of a member. */
export interface MemberDisk {
  readonly folder: string;
  readonly tier: ToldDisk;
  /** Writes what is left, and word for the next start. */
  readonly close: () => Promise<void>;
}

/** It is open, and waits for the store; or it could not be opened, which is told all the same. */
interface DiskBefore {
  readonly tier: DiskTier | null;
  goOn(store: PageStore, correspondence: Correspondence, current: { readonly view: View }): MemberDisk;
}

interface DiskNeeds {
  readonly config: Config;
  readonly clock: Pick<Clock, "nowSeconds" | "wallLeadSeconds">;
  readonly diskSays: (how: "info" | "error", text: string) => void;
  readonly failed: (error: Error) => void;
}

/** What a member leaves word of when it stops. */
interface Left {
  readonly heard: HeardState;
  readonly life: EarlierLife;
}

/**
 * Opens the disk where there is one. Where it fails the member works without it, and says so. @throws StartError where
 * the folder is not for this member.
 */
export function openDiskFor({ config, clock, diskSays, failed }: DiskNeeds): DiskBefore | null {
  const { disk: folder } = config;
  if (folder === undefined) return null;
  let store: PageStore | null = null;
  let open: OpenDisk;
  try {
    open = openDisk({
      folder,
      bytesMax: config["disk-size"],
      memoryBytes: config.memory,
      now: clock.nowSeconds,
      head: () => ({
        position: store?.position ?? 0,
        now: clock.nowSeconds(),
        wallLead: clock.wallLeadSeconds(),
      }),
      failed,
      off: (reason) =>
        diskSays("error", `the disk is not used any more: ${reason}; what is stored stays in memory alone`),
    });
  } catch (error) {
    if (error instanceof DiskUnusable) throw new StartError(error.message);
    const { message } = error as Error;
    diskSays("error", `the disk is not used: ${message}; what is stored stays in memory alone`);
    const tier = unusable(message, config["disk-size"]);
    return { tier: null, goOn: () => ({ folder, tier, close: () => Promise.resolve() }) };
  }
  const { tier, isUnclean, position } = open;
  return {
    tier,
    goOn(opened, correspondence, current) {
      store = opened;
      const left = open.state as Left | null;
      if (left !== null) correspondence.goOnFrom(left.life, clock.nowSeconds());
      if (left !== null || isUnclean) opened.goOnFrom(left?.heard ?? null, position);
      const found = `${tier.responses} stored responses found in ${folder}, which may take ${bytesText(tier.bytesMax)}`;
      diskSays(
        "info",
        isUnclean ? `${found}; the last process did not stop in order: they are validated first` : found,
      );
      return {
        folder,
        tier,
        close: () => {
          const state: Left = {
            heard: opened.heardState,
            life: correspondence.earlierLife(current.view.members, clock.nowSeconds()),
          };
          return open
            .close(state)
            .catch((error: Error) =>
              diskSays("error", `${folder}: ${error.message}; what is on it will be validated first`),
            );
        },
      };
    },
  };
}
