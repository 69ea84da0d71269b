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

/** What PUT takes of a target, but its address, name and id. */
export function settingsOf(target: Target): Partial<Target> {
  const { interval_ms, timeout_ms, size, dscp, family, ttl, dont_fragment, source, interface: by, labels, slow_ms, lossy_percent, paused } = target;
  return {
    interval_ms, timeout_ms, size, dscp,
    ...(family && { family }),
    ...(ttl !== undefined && { ttl }),
    ...(dont_fragment !== undefined && { dont_fragment }),
    ...(source !== undefined && { source }),
    ...(by !== undefined && { interface: by }),
    ...(labels && { labels }),
    ...(slow_ms !== undefined && { slow_ms }),
    ...(lossy_percent !== undefined && { lossy_percent }),
    ...(paused && { paused }),
  };
}

/** The settings of targets that stay are kept: the text carries only address and name. */
export function parseTargets(text: string, saved: readonly Target[]): ParsedTargets {
  const known = new Map<string, Target[]>(); // a name may be there twice, for both families
  for (const target of saved) known.set(target.address, [...(known.get(target.address) ?? []), target]);
  const items: unknown[] = [];
  const lines: number[] = [];
  text.split('\n').forEach((raw, line) => {
    const trimmed = raw.trim();
    if (!trimmed || trimmed.startsWith('#')) return;
    const [, address, name] = /^(\S+)\s*(.*)$/.exec(trimmed)!;
    const old = known.get(address!)?.shift();
    items.push(
      old
        ? { ...settingsOf(old), address, name }
        : name ? { address, name } : { address },
    );
    lines.push(line);
  });
  return { items, lines };
}
