/** A network address as `host:port`, IPv6 in brackets. The only parser and printer of that form. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host:port`, `[v6]:port`, `:port` (all of this machine's loopback) or a bare port; null where it is none of
 * them.
 */
export function hostPortOf(text: string, hostDefault = "127.0.0.1"): HostPort | null {
  const match = /^(?:\[([0-9a-f:.%]+)\]:|([^:[\]\s/@]*):)?(\d{1,5})$/i.exec(text.trim());
  if (match === null) return null;
  const port = Number(match[3]);
  const host = (match[1] ?? match[2]) || hostDefault;
  // Two ports, as containers are given them, are no address.
  if (port > 65_535 || /^\d+$/.test(host)) return null;
  return { host, port };
}

/** `host:port`, with the brackets that an IPv6 address needs. */
export function hostPortText(address: HostPort): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Whether both name the same place, loopback by name and by number being one. */
export function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
