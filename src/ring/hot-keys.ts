/**
 * When a key of another member is hot, and how long a copy of it is used: what members and simulations of them go by.
 */

/** How long a hot copy is used before its owner is asked again, in seconds. */
export const copySeconds = 10;
/** Requests in the frequency sketch's window that make a key hot: about one in a thousand of those that reach it. */
export const hotCount = 16;
/** A copy used so often is renewed when its time is over, without having to become hot again. */
export const renewHits = 4;
