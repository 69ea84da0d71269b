// SPDX-License-Identifier: Apache-2.0
// One or several targets edited at once: what was typed, what is wrong with it, and the list that comes of it.
import { formatLabels, parseLabels } from './labels.tsx';
import { settingsOf } from './targets_text.ts';
import type { Pause, Target } from './types.ts';

export interface NumberField {
  key: 'interval_ms' | 'timeout_ms' | 'size' | 'dscp' | 'slow_ms' | 'lossy_percent';
  label: string;
  unit: string;
  /** In units: times shown in seconds are sent in milliseconds. */
  scale: number;
  min: number;
  max: number;
  /** "default" (or 0) gives it back to the server's default. */
  optional?: boolean;
}

export const numberFields: readonly NumberField[] = [
  { key: 'interval_ms', label: 'Interval', unit: 's', scale: 1000, min: 0.1, max: 3600 },
  { key: 'timeout_ms', label: 'Timeout', unit: 's', scale: 1000, min: 0.01, max: 60 },
  { key: 'size', label: 'Size', unit: 'bytes', scale: 1, min: 16, max: 65000 },
  { key: 'dscp', label: 'DSCP', unit: '', scale: 1, min: 0, max: 63 },
  { key: 'slow_ms', label: 'Slow above', unit: 'ms', scale: 1, min: 0, max: 60000, optional: true },
  { key: 'lossy_percent', label: 'Lossy from', unit: '%', scale: 1, min: 0, max: 100, optional: true },
];

export type FieldKey = NumberField['key'] | 'name' | 'labels' | 'unlabel' | 'pause' | 'reason' | 'until';
export type Typed = Record<FieldKey, string>;

const numberText = (target: Target, field: NumberField): string => (target[field.key] === undefined ? '' : String(target[field.key]! / field.scale));
/** As an input of a local time has it, and back. */
const localText = (ms: number | undefined): string => (ms ? new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 16) : '');
export const isPaused = (target: Pick<Target, 'paused'>, now_ms: number): boolean => target.paused !== undefined && (!target.paused.until_ms || target.paused.until_ms > now_ms);

const common = (texts: string[]): string => (texts.every((text) => text === texts[0]) ? texts[0]! : '');

/** What the fields show first: what all of them have; nothing where they differ. Labels of several are added to. */
export function typedOf(targets: readonly Target[]): Typed {
  const one = targets.length === 1;
  const typed: Typed = { name: one ? targets[0]!.name : '', labels: one ? formatLabels(targets[0]!.labels) : '', unlabel: '', interval_ms: '', timeout_ms: '', size: '', dscp: '', slow_ms: '', lossy_percent: '',
    pause: common(targets.map((target) => (target.paused ? 'yes' : 'no'))), reason: common(targets.map((target) => target.paused?.reason ?? '')), until: common(targets.map((target) => localText(target.paused?.until_ms))) };
  for (const field of numberFields) typed[field.key] = common(targets.map((target) => numberText(target, field)));
  return typed;
}

export const differ = (targets: readonly Target[], field: NumberField): boolean => new Set(targets.map((target) => numberText(target, field))).size > 1;

function numberOf(field: NumberField, text: string): number {
  const value = Number(text);
  const whole = field.scale > 1 || Number.isInteger(value);
  if (!/^\d+(\.\d{1,3})?$/.test(text) || !whole || value < field.min || value > field.max)
    throw new Error(`${field.label} must be ${field.scale > 1 ? '' : 'a whole number of '}${field.min} to ${field.max}${field.unit && ` ${field.unit}`}.`);
  return Math.round(value * field.scale);
}

export interface Changes {
  fields: Partial<Pick<Target, NumberField['key'] | 'name' | 'labels'>>;
  addLabels: Record<string, string>;
  removeLabels: string[];
  /** undefined: as it is; null: none. */
  pause?: Pause | null;
}

/** Only what was typed anew is changed. `wrong`: a reason for each field that cannot be taken. */
export function changesOf(targets: readonly Target[], typed: Typed, now_ms = Date.now()): { changes: Changes; wrong: Partial<Typed>; any: boolean } {
  const first = typedOf(targets), wrong: Partial<Typed> = {};
  const changes: Changes = { fields: {}, addLabels: {}, removeLabels: [] };
  const isNew = (key: FieldKey) => typed[key].trim() !== first[key];
  /** Of several, a number that is left empty. */
  const stays = (key: FieldKey) => targets.length > 1 && !typed[key].trim() && numberFields.some((field) => field.key === key);
  const attempt = (key: FieldKey, what: () => void) => {
    try {
      if (isNew(key)) what();
    } catch (cause) {
      wrong[key] = (cause as Error).message;
    }
  };
  attempt('name', () => { changes.fields.name = typed.name.trim(); });
  attempt('labels', () => {
    const labels = parseLabels(typed.labels);
    if (targets.length === 1) changes.fields.labels = labels;
    else changes.addLabels = labels;
  });
  attempt('unlabel', () => {
    changes.removeLabels = typed.unlabel.split(',').map((key) => key.trim()).filter(Boolean);
    const bad = changes.removeLabels.find((key) => /[=\s]/.test(key));
    if (bad) throw new Error(`“${bad}” is no label's key. Write keys alone, with commas between.`);
  });
  if (typed.pause === 'no') attempt('pause', () => { changes.pause = null; });
  if (typed.pause === 'yes' && (isNew('pause') || isNew('reason') || isNew('until'))) {
    const reason = typed.reason.trim(), until_ms = typed.until ? new Date(typed.until).getTime() : undefined;
    if (!reason) wrong.reason = 'A pause needs a reason.';
    if (until_ms !== undefined && !(until_ms > now_ms)) wrong.until = 'The end must lie in the future.';
    changes.pause = { reason, ...(until_ms !== undefined && { until_ms }) };
  }
  for (const field of numberFields)
    attempt(field.key, () => {
      const text = typed[field.key].trim();
      if (field.optional && /^default$/i.test(text)) changes.fields[field.key] = 0;
      else if (text) changes.fields[field.key] = numberOf(field, text);
      else if (!stays(field.key)) changes.fields[field.key] = field.optional ? 0 : numberOf(field, text);
    });
  return { changes, wrong, any: (Object.keys(typed) as FieldKey[]).some((key) => isNew(key) && !stays(key)) };
}

/** The whole list as PUT takes it, with the changes to the chosen ones. */
export function applyChanges(all: readonly Target[], chosen: ReadonlySet<number>, { fields, addLabels, removeLabels, pause }: Changes): unknown[] {
  return all.map((target) => {
    const item = { ...settingsOf(target), address: target.address, name: target.name };
    if (!chosen.has(target.id)) return item;
    const labels = Object.fromEntries(Object.entries({ ...(fields.labels ?? target.labels), ...addLabels }).filter(([key]) => !removeLabels.includes(key)));
    return { ...item, ...fields, labels, ...(pause !== undefined && { paused: pause }) };
  });
}
