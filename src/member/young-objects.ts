/**
 * Where V8 puts new objects. It allocates among the old what it has seen survive, and a busy server's requests do so
 * whenever a collection meets them under way. What lies among the old is not collected with the young, dead or not, and
 * keeps alive what it refers to: a fifth of all that HTTP/2's streams are made of stayed until the next collection of
 * everything, one in ten with nothing but this undone. docs/decisions/0018.
 */
import { setFlagsFromString } from "node:v8";

/** From now on new objects are young ones, in all threads. */
export function allocateYoung(): void {
  // Read by V8 after each collection of young objects, so that it can be set while it runs.
  setFlagsFromString("--no-allocation-site-pretenuring");
}
