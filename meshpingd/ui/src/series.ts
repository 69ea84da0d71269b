// SPDX-License-Identifier: Apache-2.0
// A pair's last hour, sorted into what is drawn: replies, losses, the agent's own trouble, missing stretches, pauses.
import { dateTime } from './format.ts';
import type { Series } from './types.ts';

const LOSS = new Set(['timeout', 'unreachable', 'prohibited', 'time_exceeded', 'too_big', 'icmp_error']);

/** One that only a later version has a name for is told by its number: up to 15 the target's loss. */
function isLoss(outcome: string): boolean {
  const number = /^outcome_(\d+)$/.exec(outcome);
  return number ? Number(number[1]) < 16 : LOSS.has(outcome);
}

export interface Marks {
  fromS: number;
  toS: number;
  /** For the line: seconds and ms; null where the line must break. */
  x: number[];
  y: (number | null)[];
  lostS: number[];
  localS: number[];
  gaps: { fromS: number; toS: number; words: string; paused: boolean }[];
}

export interface Summary {
  replies: number;
  lost: number;
  local: number;
  /** Of replies and losses; the agent's own trouble is no verdict. NaN: none. */
  lossPercent: number;
  minUs: number | null;
  meanUs: number | null;
  p95Us: number | null;
  maxUs: number | null;
  /** Stretches without samples, and those in which nobody was to ping. */
  missing: number;
  pauses: number;
  lastOutcome: string;
}

const YOUNG_S = 300;

const REASONS: Record<string, string> = {
  connection_trouble: 'connection trouble with the agent',
  agent_restarted: 'the agent was restarted',
  agent_away: 'the agent is away',
  server_away: 'the server was away',
  damaged: 'damaged in the database',
};
const CAUSES: Record<string, string> = {
  overflow: 'its buffer was full',
  expired: 'too long without a server to keep it',
  server_lost: 'an older database was restored',
  refused: 'an administrator did not keep what it sent on hold',
};

type Gap = Series['gaps'][number];

/** Why there are no samples, in words. */
export function gapWords(gap: Pick<Gap, 'reason' | 'cause' | 'pause'>): string {
  if (gap.pause) return `paused: ${gap.pause.reason}`;
  const words = REASONS[gap.reason] ?? gap.reason.replaceAll('_', ' ');
  return gap.cause ? `${words}: ${CAUSES[gap.cause] ?? gap.cause}` : words;
}

/** The same with the times of a pause. */
export function gapDetail(gap: Gap): string {
  if (!gap.pause) return `Missing: ${gapWords(gap)}.`;
  const { reason, from_ms, until_ms } = gap.pause;
  return `Paused from ${dateTime(from_ms)} ${until_ms ? `until ${dateTime(until_ms)}` : 'until somebody resumes it'}: ${reason}`;
}

/** A pair younger than the hour gets the time it has, five minutes at least; one that was silent keeps the hour. */
function fromOf(series: Series): number {
  const first = series.time_ms[0];
  const from = series.from_ms / 1000;
  if (first === undefined || (series.gaps[0] && series.gaps[0].from_ms < first)) return from;
  return Math.max(from, Math.min(first / 1000 - series.interval_ms / 1000, series.to_ms / 1000 - YOUNG_S));
}

export function toMarks(series: Series): Marks {
  const marks: Marks = { fromS: fromOf(series), toS: series.to_ms / 1000, x: [], y: [], lostS: [], localS: [], gaps: [] };
  let gap = 0;
  series.time_ms.forEach((time, i) => {
    while (gap < series.gaps.length && series.gaps[gap]!.to_ms <= time) {
      const { from_ms, to_ms } = series.gaps[gap++]!;
      const middle = (from_ms + to_ms) / 2000;
      if (marks.x.length && middle > marks.x[marks.x.length - 1]! && middle < time / 1000) {
        marks.x.push(middle);
        marks.y.push(null);
      }
    }
    const rtt = series.rtt_us[i] ?? null;
    marks.x.push(time / 1000);
    marks.y.push(rtt === null ? null : rtt / 1000);
    const outcome = series.outcome[i]!;
    if (outcome === 'ok') return;
    (isLoss(outcome) ? marks.lostS : marks.localS).push(time / 1000);
  });
  marks.gaps = series.gaps.map((g) => ({ fromS: g.from_ms / 1000, toS: g.to_ms / 1000, words: gapWords(g), paused: g.pause !== undefined }));
  return marks;
}

export function summarise(series: Series): Summary {
  const rtts: number[] = [];
  let lost = 0;
  let local = 0;
  series.outcome.forEach((outcome, i) => {
    const rtt = series.rtt_us[i];
    if (outcome === 'ok' && typeof rtt === 'number') rtts.push(rtt);
    else if (isLoss(outcome)) lost++;
    else if (outcome !== 'ok') local++;
  });
  rtts.sort((a, b) => a - b);
  const some = rtts.length > 0;
  return {
    replies: rtts.length,
    lost,
    local,
    lossPercent: rtts.length + lost ? (100 * lost) / (rtts.length + lost) : NaN,
    minUs: some ? rtts[0]! : null,
    meanUs: some ? rtts.reduce((sum, rtt) => sum + rtt, 0) / rtts.length : null,
    p95Us: some ? rtts[Math.max(0, Math.ceil(rtts.length * 0.95) - 1)]! : null, // nearest rank
    maxUs: some ? rtts[rtts.length - 1]! : null,
    missing: series.gaps.filter((gap) => !gap.pause).length,
    pauses: series.gaps.filter((gap) => gap.pause).length,
    lastOutcome: series.outcome[series.outcome.length - 1] ?? '',
  };
}
