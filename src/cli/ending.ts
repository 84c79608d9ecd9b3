/** How processes of this program end: at once whatever is still open, and with those that have started them. */

/** Long enough for what V8 has asked of this thread, short enough for nobody to notice. */
const letGoMs = 30;

/**
 * Ends the process with a code. Not before the event loop has turned: a compiler's thread that waits for the collector
 * waits for this one, and an exit in the midst of that waits for the compiler, for ever (seen with small heaps, Node
 * 24.21).
 */
export async function endWith(code: number): Promise<never> {
  await new Promise((turned) => setTimeout(turned, letGoMs));
  process.exit(code);
}

/** How often it is looked whether who has started this process is still there. */
const lookMs = 1000;

/**
 * A checkout's program goes on under its own Node, in a process that nobody has asked for (bin/gyre): where the one
 * that was started is killed, this one must not keep ports and folders. It ends as by a signal.
 */
export function endWithStarter(): void {
  const starter = Number(process.env["GYRE_STARTED_BY"]);
  // Not for those that this process starts.
  delete process.env["GYRE_STARTED_BY"];
  if (!(starter > 0)) return;
  const looking = setInterval(() => {
    if (process.ppid === starter) return;
    clearInterval(looking);
    process.kill(process.pid, "SIGTERM");
  }, lookMs);
  looking.unref();
}
