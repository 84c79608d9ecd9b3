/** Many things in steps of a bounded size: each has at least one of them, however large that is. */
export function* inSteps<T>(items: Iterable<T>, sizeOf: (item: T) => number, sizeMax: number): Generator<T[]> {
  let step: T[] = [];
  let size = 0;
  for (const item of items) {
    const more = sizeOf(item);
    if (step.length > 0 && size + more > sizeMax) {
      yield step;
      step = [];
      size = 0;
    }
    step.push(item);
    size += more;
  }
  if (step.length > 0) yield step;
}
