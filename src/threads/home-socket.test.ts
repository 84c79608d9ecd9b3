import { expect, it } from "vitest";
import { ByteRing } from "./byte-ring.ts";
import { HomeSocket } from "./home-socket.ts";
import { StoreBlocks } from "./store-blocks.ts";
import { frame, ThreadLink } from "./thread-link.ts";

for (const isFull of [false, true])
  for (const how of ["the front says that it is gone", "home ends it"] as const)
    it(`everything written is called taken, and no page stays lent: ${how}, the ring ${isFull ? "full" : "empty"}`, async () => {
      const [incoming, outgoing] = [64, 256].map((kilobytes) => new ByteRing(ByteRing.memory(kilobytes * 1024)));
      const link = new ThreadLink(
        incoming!,
        outgoing!,
        () => {},
        (error) => {
          throw error;
        },
      );
      if (isFull) for (let count = 0; count < 5; count++) link.send(frame.data, 99, Buffer.alloc(60_000));
      const block = new SharedArrayBuffer(2 ** 20);
      let [lent, untaken] = [0, 0];
      const blocks = new StoreBlocks(() => {
        lent++;
        return () => lent--;
      });
      blocks.add(block);
      const socket = new HomeSocket(link, 7, blocks);
      for (let piece = 0; piece < 2; piece++) {
        untaken++;
        socket.write(Buffer.from(block, piece * 200_000, 200_000), () => untaken--);
      }
      if (how === "home ends it") socket.destroy();
      else socket.gone();
      // The front takes what lies in the ring, and then knows nothing of this connection any more.
      const left = (): number => {
        outgoing!.read(() => {}, 100);
        return untaken;
      };
      await expect.poll(left).toBe(0);
      socket.gone();
      await expect.poll(() => lent).toBe(0);
      link.close();
    });
