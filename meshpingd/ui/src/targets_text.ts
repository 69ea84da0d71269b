// SPDX-License-Identifier: Apache-2.0
// The target list as text: a line a target, "ADDRESS [NAME]"; empty lines and lines that begin with # are left out.
import type { Target } from './types.ts';

export interface ParsedTargets {
  /** What the API takes: strings, or objects for targets whose settings are not the defaults. */
  items: unknown[];
  /** The line (from 0) each item came from. */
  lines: number[];
}

export function formatTargets(targets: readonly Target[]): string {
  return targets.map((target) => (target.name ? `${target.address} ${target.name}` : target.address)).join('\n');
}

/** The settings of targets that stay are kept: the text carries only address and name. */
export function parseTargets(text: string, saved: readonly Target[]): ParsedTargets {
  const known = new Map(saved.map((target) => [target.address, target]));
  const items: unknown[] = [];
  const lines: number[] = [];
  text.split('\n').forEach((raw, line) => {
    const trimmed = raw.trim();
    if (!trimmed || trimmed.startsWith('#')) return;
    const [, address, name] = /^(\S+)\s*(.*)$/.exec(trimmed)!;
    const old = known.get(address!);
    items.push(
      old
        ? { address, name, interval_ms: old.interval_ms, timeout_ms: old.timeout_ms, size: old.size, dscp: old.dscp }
        : name ? { address, name } : { address },
    );
    lines.push(line);
  });
  return { items, lines };
}
