/** The experiments of `gyre eval`, by name: apart from them, so that nobody loads them for their names. */
export const experiments = ["distribution", "balance", "churn", "hot", "latency", "failover", "hit-ratio"] as const;
export type Experiment = (typeof experiments)[number];
