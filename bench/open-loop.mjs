/** Requests that leave at their time, whatever became of those before: what stops a server for a moment shows. */
import { connect } from "node:net";

/**
 * Asks so many times a second over as many connections as are free; a request that finds none free waits, and its time
 * counts. @returns `latencies` from the planned moment to the last byte, ms, and how many answers were no hits.
 */
export function openLoop({ port, rate, seconds, connections, bytes, path }) {
  return new Promise((done, fail) => {
    const total = rate * seconds;
    const result = { latencies: [], misses: 0 };
    const sockets = [];
    const free = [];
    const waiting = [];
    let sent = 0;
    for (let which = 0; which < connections; which++) {
      const socket = connect(port, "127.0.0.1", () => free.push(one));
      const one = { socket, plannedMs: 0 };
      let got = "";
      sockets.push(socket);
      socket.setNoDelay(true);
      socket.on("error", fail);
      socket.on("data", (data) => {
        got += data.toString("latin1");
        const end = got.indexOf("\r\n\r\n");
        if (end === -1 || got.length < end + 4 + bytes) return;
        if (!got.includes("; hit")) result.misses++;
        got = "";
        result.latencies.push(performance.now() - one.plannedMs);
        if (result.latencies.length === total) {
          clearInterval(timer);
          for (const each of sockets) each.destroy();
          done(result);
        } else if (waiting.length > 0) ask(one, waiting.shift());
        else free.push(one);
      });
    }
    const ask = (one, plannedMs) => {
      one.plannedMs = plannedMs;
      one.socket.write(`GET ${path()} HTTP/1.1\r\nHost: example.test\r\n\r\n`);
    };
    const beganMs = performance.now() + 100;
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - beganMs) * rate) / 1000));
      for (; sent < due; sent++) {
        const plannedMs = beganMs + ((sent + 1) * 1000) / rate;
        const one = free.pop();
        if (one === undefined) waiting.push(plannedMs);
        else ask(one, plannedMs);
      }
    }, 1);
  });
}

/** Percentiles of what `openLoop` has measured: sorts it. @returns a function from a share of 1 to ms, as text. */
export function percentiles(latencies) {
  latencies.sort((one, other) => one - other);
  return (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))].toFixed(2);
}
