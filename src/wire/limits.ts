/** What a stranger may send before the answer is a refusal. Every bound has its unit in its name. */
export interface WireLimits {
  readonly headBytesMax: number;
  readonly fieldsMax: number;
  readonly uriBytesMax: number;
  /** Content of one request; 0 means no bound of its own (it is streamed). */
  readonly bodyBytesMax: number;
  /** How long a kept connection may wait for its next request. */
  readonly idleMs: number;
  /** From a head's first byte to its last. */
  readonly headMs: number;
  /** The longest silence inside a request's content. */
  readonly bodyMs: number;
  /** A client that takes or gives nothing, or less than this many bytes a second, over `rateWindowMs` is cut. */
  readonly rateBytesMin: number;
  readonly rateWindowMs: number;
  /** After a client has ended its side while it is owed an answer: how often it is asked whether it is still there. */
  readonly probeMs: number;
  /** After our last byte, how long a client that goes on sending is listened to: in silence, and in all. */
  readonly lingerSilenceMs: number;
  readonly lingerMs: number;
  readonly connectionsMax: number;
  readonly connectionsPerClientMax: number;
  readonly requestsPerConnectionMax: number;
  /** Bytes of pipelined requests held while one is being answered; beyond it the socket is not read. */
  readonly pipelinedBytesMax: number;
}

export const wireLimits: WireLimits = {
  headBytesMax: 32 * 1024,
  fieldsMax: 128,
  uriBytesMax: 16 * 1024,
  bodyBytesMax: 0,
  idleMs: 65_000,
  headMs: 15_000,
  bodyMs: 60_000,
  rateBytesMin: 0,
  rateWindowMs: 60_000,
  probeMs: 1000,
  lingerSilenceMs: 5000,
  lingerMs: 30_000,
  connectionsMax: 20_000,
  connectionsPerClientMax: 10_000,
  requestsPerConnectionMax: 1_000_000,
  pipelinedBytesMax: 64 * 1024,
};
