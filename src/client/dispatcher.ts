/**
 * Requests through a cluster as an undici dispatcher: straight to the member that owns the URL, and to the next one on
 * the ring where that cannot be reached. A request that may have been carried out is repeated only where doing it twice
 * is doing it once.
 */
import { DecoratorHandler, Dispatcher, Pool } from "undici";
import { background } from "../base/background.ts";
import { isIdempotent } from "../http/messages.ts";
import { hostText, httpUri, uriText } from "../http/uri.ts";
import { keyHash, successors } from "../ring/ring.ts";
import { viewOf, type Member, type PublishedView, type View } from "../ring/view.ts";
import type { Directory } from "./directory.ts";

/** A member that could not be reached is asked last for so long. */
const restMs = 1000;
/** Members asked before a request fails. */
const triesMax = 4;

export interface DispatcherOptions {
  /** PEM certificates for members that speak TLS to clients. */
  readonly ca?: string | undefined;
  readonly connections?: number | undefined;
}

type Request = Dispatcher.DispatchOptions;

/** Sends every request through the cluster of a directory. */
export class GyreDispatcher extends Dispatcher {
  readonly #directory: Directory;
  readonly #options: DispatcherOptions;
  readonly #pools = new Map<string, Pool>();
  readonly #restingUntil = new Map<string, number>();
  #view: View | null = null;
  #closed = false;
  #end: Promise<void> | null = null;

  constructor(directory: Directory, options: DispatcherOptions = {}) {
    super();
    this.#directory = directory;
    this.#options = options;
  }

  override dispatch(request: Request, handler: Dispatcher.DispatchHandler): boolean {
    if (this.#closed) throw new Error("the client is closed");
    const uri = httpUri(`${String(request.origin)}${request.path}`);
    if (uri === null) throw new TypeError(`${String(request.origin)}${request.path} is not an http or https URL`);
    const text = uriText(uri);
    const members = this.#order(text);
    const through: Request = { ...request, path: text, headers: withHost(request.headers, hostText(uri)) };
    const attempt = new Attempt(handler, isIdempotent(request.method) && isReplayable(request.body), () => {
      const member = this.#closed ? undefined : members.shift();
      if (member === undefined) return false;
      this.#pool(member).dispatch({ ...through, origin: originOf(member) }, attempt);
      return true;
    });
    attempt.failed = (error) => {
      if (attempt.member !== null && isConnectFailure(error))
        this.#restingUntil.set(attempt.member, performance.now() + restMs);
    };
    attempt.names = members.map(({ name }) => name);
    if (!attempt.next()) throw new Error(`the cluster in ${this.#directory.address} has no members`);
    return true;
  }

  /** Lets answers end; whoever closes once more waits for the same end. */
  override close(): Promise<void> {
    this.#closed = true;
    this.#end ??= ended([...this.#pools.values()].map((pool) => pool.close()));
    return this.#end;
  }

  override destroy(): Promise<void> {
    this.#closed = true;
    return ended([...this.#pools.values()].map((pool) => pool.destroy()));
  }

  /** Whom to ask, in order: owner, then successors; those that have just failed last. */
  #order(uri: string): Member[] {
    const published = this.#directory.view;
    if (published === null) return [];
    const view = this.#ringOf(published);
    const now = performance.now();
    const inOrder = [...successors(view.ring, keyHash(uri))].map(({ name }) => view.byName.get(name)!);
    const resting = (member: Member): number => Number((this.#restingUntil.get(member.name) ?? 0) > now);
    return inOrder.sort((a, b) => resting(a) - resting(b)).slice(0, triesMax);
  }

  #ringOf(published: PublishedView): View {
    if (this.#view?.epoch !== published.epoch || this.#view.cluster !== published.cluster) {
      this.#view = viewOf(published, this.#view);
      const origins = new Set(published.members.map(originOf));
      for (const [origin, pool] of this.#pools) {
        if (origins.has(origin)) continue;
        this.#pools.delete(origin);
        // Answers in progress end first; how it ends is nobody's business any more.
        background(pool.close(), () => {});
      }
    }
    return this.#view;
  }

  #pool(member: Member): Pool {
    const origin = originOf(member);
    let pool = this.#pools.get(origin);
    if (pool === undefined) {
      const { ca, connections = 16 } = this.#options;
      pool = new Pool(origin, { connections, connect: { timeout: 2000, ...(ca === undefined ? {} : { ca }) } });
      this.#pools.set(origin, pool);
    }
    return pool;
  }
}

/** One request, however many members it takes. */
class Attempt implements Dispatcher.DispatchHandler {
  /** Whom it asks now, and whom next. */
  names: string[] = [];
  member: string | null = null;
  failed: (error: Error) => void = () => {};
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #outer: Dispatcher.DispatchHandler;
  readonly #repeatable: boolean;
  readonly #ask: () => boolean;
  #begun = false;

  constructor(handler: Dispatcher.DispatchHandler, repeatable: boolean, ask: () => boolean) {
    this.#handler = handler;
    this.#outer = decorated(handler);
    this.#repeatable = repeatable;
    this.#ask = ask;
  }

  next(): boolean {
    this.member = this.names.shift() ?? null;
    return this.#ask();
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#outer.onRequestStart?.(controller, context);
  }

  onRequestUpgrade(...switched: Parameters<NonNullable<Dispatcher.DispatchHandler["onRequestUpgrade"]>>): void {
    this.#begun = true;
    this.#outer.onRequestUpgrade?.(...switched);
  }

  onResponseStart(...head: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseStart"]>>): void {
    const [, status] = head;
    // Undici's decorator takes one head for each answer; one that is interim goes through another.
    if (status < 200) return decorated(this.#handler).onResponseStart?.(...head);
    this.#begun = true;
    this.#outer.onResponseStart?.(...head);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#outer.onResponseData?.(controller, chunk);
  }

  onResponseEnd(...end: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseEnd"]>>): void {
    this.#outer.onResponseEnd?.(...end);
  }

  /** Where no connection came about there is no controller, whatever undici's types say. */
  onResponseError(controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.failed(error);
    const again = !this.#begun && controller?.aborted !== true && (this.#repeatable || isConnectFailure(error));
    if (again && this.next()) return;
    this.#outer.onResponseError?.(controller as Dispatcher.DispatchController, error);
  }
}

/** Understands handlers of undici's older kind too, such as its own `fetch` has. */
function decorated(handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
  return new DecoratorHandler(handler);
}

async function ended(endings: readonly Promise<void>[]): Promise<void> {
  await Promise.all(endings);
}

function originOf({ listen, tls }: Member): string {
  return `${tls ? "https" : "http"}://${listen}`;
}

/** Nothing of the request has been sent. */
function isConnectFailure(error: Error): boolean {
  const { code = "" } = error as { code?: string };
  return ["ECONNREFUSED", "UND_ERR_CONNECT_TIMEOUT", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND"].includes(code);
}

function isReplayable(body: unknown): boolean {
  return body === null || body === undefined || typeof body === "string" || body instanceof Uint8Array;
}

function withHost(headers: Request["headers"], host: string): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = {};
  const add = (name: string, value: unknown): void => {
    if (value === undefined || name.toLowerCase() === "host") return;
    const before = fields[name];
    fields[name] = before === undefined ? (value as string | string[]) : [before, value as string | string[]].flat();
  };
  if (Array.isArray(headers)) for (let at = 0; at + 1 < headers.length; at += 2) add(headers[at]!, headers[at + 1]);
  else if (headers !== null && headers !== undefined) {
    const pairs =
      typeof (headers as Iterable<unknown>)[Symbol.iterator] === "function"
        ? (headers as Iterable<[string, string]>)
        : Object.entries(headers);
    for (const [name, value] of pairs) add(name, value);
  }
  fields["host"] = host;
  return fields;
}
