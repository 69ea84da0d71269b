// SPDX-License-Identifier: Apache-2.0
// The list of targets as a file: all fields, as CSV with a line of names first, or as the API's JSON.
import { LineError, formatCsv, parseCsv } from './csv.ts';
import { formatLabels, parseLabels } from './labels.tsx';
import { settingsOf } from './targets_text.ts';
import type { Target } from './types.ts';

export interface ImportedTargets {
  items: unknown[];
  /** The line (from 1) each item came from; empty: the file has no lines that matter. */
  lines: number[];
}

const columns = ['address', 'name', 'labels', 'interval_ms', 'timeout_ms', 'size', 'dscp', 'slow_ms', 'lossy_percent', 'family', 'ttl', 'dont_fragment', 'source', 'interface', 'pause_reason', 'paused_until'] as const;
type Column = typeof columns[number];
const texts: readonly Column[] = ['address', 'name', 'source', 'interface', 'pause_reason'];

/*
 * A spreadsheet would run a cell that begins so as a formula (OWASP, CSV injection): an apostrophe goes before it, and
 * before one that looks guarded already, so that each comes back as it was. Likewise each part after a semicolon, where
 * spreadsheets of many languages begin the next cell, quotes or not. The same rule as meshpingd/csv.c.
 */
const FORMULA = /^['\s]*[=+\-@\t\r\n＝＋－＠]/;
const ofEachPart = (change: (part: string) => string) => (cell: string): string => cell.split(';').map(change).join(';');
export const guarded = ofEachPart((part) => (FORMULA.test(part) ? `'${part}` : part));
export const unguarded = ofEachPart((part) => (part.startsWith("'") && FORMULA.test(part.slice(1)) ? part.slice(1) : part));

const fieldsOf = (target: Target) => ({ address: target.address, name: target.name, ...settingsOf(target) });

export function targetsToCsv(targets: readonly Target[]): string {
  const cell = (target: Target, column: Column): string => {
    if (column === 'labels') return formatLabels(target.labels);
    if (column === 'pause_reason') return target.paused?.reason ?? '';
    if (column === 'paused_until') return target.paused?.until_ms ? new Date(target.paused.until_ms).toISOString() : '';
    return String(target[column] ?? '');
  };
  const row = (target: Target) => columns.map((column) => guarded(cell(target, column)));
  return formatCsv([[...columns], ...targets.map(row)]);
}

export const targetsToJson = (targets: readonly Target[]): string => `${JSON.stringify({ targets: targets.map(fieldsOf) }, null, 1)}\n`;

function read(column: Column, cell: string): unknown {
  if (texts.includes(column)) return cell;
  if (column === 'labels') return parseLabels(cell);
  if (column === 'dont_fragment') {
    if (cell !== 'true' && cell !== 'false') throw new Error(`dont_fragment is true or false, not “${cell}”`);
    return cell === 'true';
  }
  if (column === 'paused_until') {
    const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(cell) ? Date.parse(cell) : NaN;
    if (Number.isNaN(at)) throw new Error(`paused_until is a time like 2030-12-24T18:00Z, not “${cell}”`);
    return at;
  }
  if (!/^\d{1,9}$/.test(cell)) throw new Error(`${column} must be a whole number, not “${cell}”`);
  return Number(cell);
}

/** Cells that are empty take the server's defaults. A LineError names the line; the server checks the values. */
export function targetsFromCsv(text: string): ImportedTargets {
  const [first = ''] = text.trimStart().split('\n', 1); // the names of columns hold neither
  const [head, ...rows] = parseCsv(text, first.includes(';') && !first.includes(',') ? ';' : ',');
  if (!head) throw new LineError(1, `the file is empty: its first line must name the columns, as ${columns.slice(0, 3).join(',')}`);
  const names = head.cells.map((cell) => cell.trim());
  for (const [i, name] of names.entries()) {
    if (!columns.includes(name as Column)) throw new LineError(head.line, `“${name}” is no column; there are ${columns.join(', ')}`);
    if (names.indexOf(name) !== i) throw new LineError(head.line, `the column ${name} stands there twice`);
  }
  if (!names.includes('address')) throw new LineError(head.line, 'the column address is missing');
  const items = rows.map(({ line, cells }) => {
    if (cells.length !== names.length) throw new LineError(line, `${cells.length} cells, but ${names.length} columns`);
    const item: Record<string, unknown> = {};
    cells.forEach((raw, i) => {
      const cell = unguarded(raw.trim());
      try {
        if (cell) item[names[i]!] = read(names[i] as Column, cell);
      } catch (cause) {
        throw new LineError(line, (cause as Error).message);
      }
    });
    const { pause_reason: reason, paused_until: until, ...rest } = item;
    if (until !== undefined && reason === undefined) throw new LineError(line, 'a pause needs a reason');
    return reason === undefined ? rest : { ...rest, paused: { reason, ...(until !== undefined && { until_ms: until }) } };
  });
  return { items, lines: rows.map((row) => row.line) };
}

/** The line that a browser's own words about bad JSON mean; they differ. */
function lineOf(text: string, words: string): number {
  const line = /line (\d+)/.exec(words)?.[1], position = /position (\d+)/.exec(words)?.[1];
  return line ? Number(line) : text.slice(0, position ? Number(position) : undefined).split('\n').length;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LineError(lineOf(text, (cause as Error).message), `this is not JSON: ${(cause as Error).message}`);
  }
}

export function targetsFromJson(text: string): ImportedTargets {
  const data = parseJson(text.replace(/^\uFEFF/, ''));
  const items = Array.isArray(data) ? data : (data as { targets?: unknown } | null)?.targets;
  if (!Array.isArray(items)) throw new Error('A list of targets, or an object with the list “targets”, is expected.');
  return { items, lines: [] };
}

/** By what the file begins with: JSON is an object or a list. */
export const targetsFromFile = (text: string): ImportedTargets => (/^\uFEFF?\s*[[{]/.test(text) ? targetsFromJson(text) : targetsFromCsv(text));
