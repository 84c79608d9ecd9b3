/** The ring as a picture: each member's share of the key space, what is leaving hatched, what is out of reach hollow. */
import { html } from "htm/preact";
import type { VNode } from "preact";
import type { LiveCluster } from "../src/admin/live.ts";

type Members = LiveCluster["status"]["members"];

const [outer, inner] = [90, 58];
/** Smaller shares get no name of their own: the table beside has it. */
const namedShare = 0.015;

/** The picture; a click on a member leads to its page. */
export function Ring({ members, epoch }: { readonly members: Members; readonly epoch: number }): VNode {
  let from = 0;
  const arcs = members.map((member, index) => {
    const [begin, end] = [from, from + member.share];
    from = end;
    return { member, begin, end, colour: `hsl(${Math.round((index * 360) / members.length + 205) % 360} var(--ring))` };
  });
  const told = members.map(({ name, share, state }) => `${name} ${(100 * share).toFixed(1)} % ${state}`).join(", ");
  return html`<svg class="ring" viewBox="-150 -115 300 230" role="img" aria-label=${`Shares of the key space: ${told}`}>
    <defs>
      <pattern id="leaving" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width="3" height="6" class="hatch" />
      </pattern>
    </defs>
    ${arcs
      .filter(({ begin, end }) => end > begin)
      .map(({ member, begin, end, colour }) => {
        const middle = (begin + end) / 2;
        const [x, y] = at(middle, outer + 10);
        const path = arc(begin, end);
        return html`<a href=${`#member/${member.name}`} aria-label=${`${member.name}, ${member.state}`}>
          <path d=${path} class=${member.state} style=${`--own: ${colour}`}
            ><title>${member.name}: ${(100 * member.share).toFixed(1)} % of the keys, ${member.state}</title></path
          >
          ${member.state === "draining" ? html`<path d=${path} fill="url(#leaving)" stroke="none" />` : null}
          ${
            member.share < namedShare
              ? null
              : html`<text x=${x} y=${y + 4} text-anchor=${Math.abs(x) < 12 ? "middle" : x > 0 ? "start" : "end"}>
                  ${member.name.length > 12 ? `${member.name.slice(0, 11)}…` : member.name}
                </text>`
          }
        </a>`;
      })}
    <text x="0" y="-2" text-anchor="middle" class="big">${members.length}</text>
    <text x="0" y="14" text-anchor="middle" class="quiet">${members.length === 1 ? "member" : "members"}</text>
    <text x="0" y="30" text-anchor="middle" class="quiet">epoch ${epoch}</text>
  </svg>` as VNode;
}

function at(turn: number, radius: number): [number, number] {
  const angle = 2 * Math.PI * turn - Math.PI / 2;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

function arc(begin: number, end: number): string {
  // A whole circle ends where it begins, and would be none; nor is there anything to part it from.
  if (end - begin > 0.9999) return `${circle(outer, 1)}${circle(inner, 0)}`;
  const large = end - begin > 0.5 ? 1 : 0;
  const point = (turn: number, radius: number): string =>
    at(turn, radius)
      .map((one) => one.toFixed(2))
      .join(" ");
  return `M${point(begin, outer)}A${outer} ${outer} 0 ${large} 1 ${point(end, outer)}L${point(end, inner)}A${inner} ${inner} 0 ${large} 0 ${point(begin, inner)}Z`;
}

/** In two halves, one way round or the other. */
function circle(radius: number, sweep: 0 | 1): string {
  const half = (y: number): string => `A${radius} ${radius} 0 0 ${sweep} 0 ${y}`;
  return `M0 ${-radius}${half(radius)}${half(-radius)}Z`;
}
