// What there is to be told of one master beyond its record: of its connection, and who is connected.
import { hostname } from "node:os";
import type { Forward as ForwardRecord } from "../../shared/records.ts";
import type { Originator } from "../ssh/channel.ts";
import type { Figures } from "../ssh/connection.ts";
import type { Master } from "./master.ts";

export interface ConnectionFigures extends Figures {
  pid: number;
  /** what this machine calls itself */
  localhost: string;
  /** how long it has been ready */
  seconds: number;
}

export interface Traffic {
  forwards: { forward: ForwardRecord; originators: Originator[] }[];
}

/** @param now in milliseconds since the epoch @throws TundError CONNECTION_LOST when there is no connection */
export function connectionFigures(master: Master, now: number): ConnectionFigures {
  const { figures } = master.live();
  const { pid, since } = master.snapshot();
  return { ...figures, pid, localhost: hostname(), seconds: Math.round((now - Date.parse(since)) / 1000) };
}

export const trafficOf = (master: Master): Traffic => ({
  forwards: master.forwards.map((forward) => ({
    forward: forward.snapshot(),
    originators: forward.originators,
  })),
});
