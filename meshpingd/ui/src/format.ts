// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them.

/** 312 -> "0.31 ms", 23456 -> "23.5 ms", 1200000 -> "1.20 s". */
export function rtt(us: number | null): string {
  if (us === null) return 'no reply';
  if (us < 10_000) return `${(us / 1000).toFixed(2)} ms`;
  if (us < 100_000) return `${(us / 1000).toFixed(1)} ms`;
  if (us < 1_000_000) return `${Math.round(us / 1000)} ms`;
  return `${(us / 1_000_000).toFixed(2)} s`;
}

/** The number alone, in ms, as short as it may be: what stands in a cell. */
export function rttShort(us: number): string {
  const ms = us / 1000;
  if (ms < 10) return ms.toFixed(2);
  if (ms < 100) return ms.toFixed(1);
  return String(Math.round(ms));
}

/** 4000 -> "4 s", 90000 -> "1 min 30 s", 7.3e6 -> "2 h 1 min". */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 && s < 600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 60)} min`;
  if (s < 86400) return Math.floor((s % 3600) / 60) ? `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min` : `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function ago(ms: number, now: number): string {
  if (!ms) return 'never';
  return now - ms < 1500 ? 'just now' : `${duration(now - ms)} ago`;
}

const pad = (n: number) => String(n).padStart(2, '0');

export function clock(ms: number): string {
  const d = new Date(ms);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

export function dateTime(ms: number): string {
  if (!ms) return 'never';
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${clock(ms)}`;
}

export const count = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

/** "+1.250 s" or "-3.2 d": how far a clock is ahead. */
export function offset(us: number): string {
  const sign = us < 0 ? '-' : '+';
  const s = Math.abs(us) / 1e6;
  if (s < 1) return `${sign}${(s * 1000).toFixed(1)} ms`;
  if (s < 120) return `${sign}${s.toFixed(1)} s`;
  if (s < 7200) return `${sign}${(s / 60).toFixed(1)} min`;
  return s < 172800 ? `${sign}${(s / 3600).toFixed(1)} h` : `${sign}${(s / 86400).toFixed(1)} d`;
}

/** 900 -> "900 B", 65536 -> "64 KiB". */
export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  return n < 1 << 20 ? `${Math.round(n / 1024)} KiB` : `${(n / (1 << 20)).toFixed(1)} MiB`;
}
