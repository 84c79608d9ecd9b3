/**
 * One request, and the origins of a route in turn until one of them answers: another is asked where the one before
 * could not be reached, broke off before it had answered, was too late, too busy, or answered with a status that says
 * "not me, not now". What may not be sent twice goes on only where nothing has been sent.
 */
import { isIdempotent } from "../http/messages.ts";
import type { Fetch, OriginHandler, OriginRequest } from "./fetch.ts";
import type { Chosen, OriginChoice, OriginState } from "./origin-choice.ts";
import type { OriginClient } from "./origin-client.ts";
import type { OriginError } from "./origin-error.ts";

/** How a route's origins are asked. */
export interface TurnRules {
  /** Origins asked after one that may have had the request; those that could not be reached are not counted. */
  readonly retries: number;
  /** Statuses that let another origin be asked, while there is one. */
  readonly retryOn: ReadonlySet<number>;
}

/** What is asked; `origin` says of which. */
export type RequestFor = (origin: string) => OriginRequest;

/** Failures that say something of the origin, not of the request. */
const telling: ReadonlySet<OriginError["phase"]> = new Set(["resolve", "connect", "tls", "head"]);

const none: readonly OriginState[] = [];

/** Asks a route's origins. `hash` is of the key. The handler hears what one origin says. */
export function askInTurn(
  {
    choice,
    client,
    rules,
  }: { readonly choice: OriginChoice; readonly client: OriginClient; readonly rules: TurnRules },
  requestFor: RequestFor,
  hash: number,
  handler: OriginHandler,
): Fetch {
  const asked: OriginState[] = [];
  let reached = 0;
  let skipped: readonly OriginState[] = none;
  let fetch: Fetch | null = null;
  let paused = false;
  let over = false;
  /** Nobody waits for the origin that is being asked any more. */
  let leave = (): void => {};
  choice.count();
  next(choice.choose(performance.now(), hash)!);
  return {
    pause: () => {
      paused = true;
      fetch?.pause();
    },
    resume: () => {
      paused = false;
      fetch?.resume();
    },
    keep: () => fetch?.keep?.() ?? null,
    cancel: () => {
      if (over) return;
      over = true;
      leave();
      fetch?.cancel();
    },
  };

  /** Another origin that may be asked now, or null; what the last one had of the request. */
  function another(had: "perhaps all" | "nothing, being busy" | "nothing"): Chosen | null {
    if (had !== "nothing" && ++reached > rules.retries) return null;
    if (asked.length >= choice.origins.length) return null;
    // Who has failed once already is not what one that has rested is tried by, while a well one is left.
    const unwell = choice.origins.filter((one) => choice.health(one) !== "up");
    const isWellLeft = choice.origins.some((one) => !unwell.includes(one) && !asked.includes(one));
    const chosen = choice.choose(performance.now(), hash, isWellLeft ? [...asked, ...unwell] : asked);
    if (chosen === null) return null;
    // What nobody has had is not one more for an origin that is well.
    if (had !== "perhaps all" && choice.health(chosen.state) === "up") return chosen;
    if (choice.mayRetry()) return chosen;
    if (chosen.isTrial) choice.undecided(chosen.state);
    return null;
  }

  function next({ state, isTrial }: Chosen): void {
    const request = requestFor(state.origin);
    const repeatable = (request.body === null || Buffer.isBuffer(request.body)) && isIdempotent(request.method);
    // What could not go on to another origin is not what one that has rested is tried by, while there is a better one.
    if (isTrial && !repeatable) {
      const passedOver = [...asked, ...skipped, state];
      if (choice.origins.some((one) => !passedOver.includes(one) && choice.health(one) === "up")) {
        skipped = passedOver;
        choice.undecided(state);
        return next(choice.choose(performance.now(), hash, passedOver)!);
      }
    }
    asked.push(state);
    state.active++;
    const startedMs = performance.now();
    let isOver = false;
    const end = (): void => {
      if (!isOver) state.active--;
      isOver = true;
    };
    leave = () => {
      end();
      if (isTrial && !shown) choice.undecided(state);
    };
    const alone = choice.origins.length === 1;
    /** What this origin says is not passed on. */
    let left = false;
    /** It has been, from its head on: nobody else can answer any more. */
    let shown = false;
    const own = client.fetch(
      // Another origin is a better second try than the same.
      alone ? request : { ...request, retries: 0 },
      {
        interim: (status, fields) => left || handler.interim(status, fields),
        head: (status, fields, inner) => {
          const isIll = rules.retryOn.has(status);
          state.answers.answered(status, performance.now() - startedMs);
          if (isIll) choice.failed(state, performance.now(), `it answered ${status}`, isTrial);
          else choice.succeeded(state, performance.now());
          const other = repeatable && isIll ? another("perhaps all") : null;
          if (other === null) {
            shown = true;
            return handler.head(status, fields, inner);
          }
          left = true;
          end();
          fetch?.cancel();
          return next(other);
        },
        data: (chunk) => left || handler.data(chunk),
        end: (trailers) => {
          end();
          if (!left) handler.end(trailers);
        },
        switched: (fields, socket) => {
          end();
          state.answers.answered(101, performance.now() - startedMs);
          choice.succeeded(state, performance.now());
          if (handler.switched === undefined) socket.destroy();
          else handler.switched(fields, socket);
        },
        failed: (error) => {
          end();
          if (left) return undefined;
          if (!shown) state.answers.failed();
          if (telling.has(error.phase)) choice.failed(state, performance.now(), error.message, isTrial);
          else if (isTrial) choice.undecided(state);
          const { phase } = error;
          const unsent = phase === "resolve" || phase === "connect" || phase === "tls" || phase === "busy";
          const had = phase === "busy" ? "nothing, being busy" : unsent ? "nothing" : "perhaps all";
          const other = !shown && (unsent || (repeatable && phase === "head")) ? another(had) : null;
          if (other === null) {
            over = true;
            return handler.failed(error);
          }
          return next(other);
        },
      },
    );
    if (!isOver) fetch = own;
    if (over) return own.cancel();
    if (paused && !isOver) own.pause();
    return undefined;
  }
}
