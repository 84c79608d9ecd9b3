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
  /** A peer that takes or gives less than this over `rateWindowMs` is cut. Bytes per second. */
  readonly rateBytesMin: number;
  readonly rateWindowMs: number;
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
  bodyMs: 30_000,
  rateBytesMin: 256,
  rateWindowMs: 20_000,
  connectionsMax: 20_000,
  connectionsPerClientMax: 10_000,
  requestsPerConnectionMax: 1_000_000,
  pipelinedBytesMax: 64 * 1024,
};
