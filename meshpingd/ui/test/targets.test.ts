// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';
import { LineError, formatCsv, parseCsv } from '../src/csv.ts';
import { applyChanges, changesOf, isPaused, typedOf } from '../src/target_changes.ts';
import { guarded, targetsFromCsv, targetsFromFile, targetsToCsv, targetsToJson, unguarded } from '../src/targets_file.ts';
import type { Target } from '../src/types.ts';
import examples from '../../../tests/unit/csv_cells.json';

const target = (id: number, address: string, more: Partial<Target> = {}): Target => ({ id, address, name: '', interval_ms: 5000, timeout_ms: 3000, size: 56, dscp: 0, labels: {}, ...more });
const cells = (text: string) => parseCsv(text).map((row) => row.cells);
const failsAt = (line: number, words: RegExp, what: () => unknown) =>
  assert.throws(what, (cause) => cause instanceof LineError && cause.line === line && words.test(cause.message));

test('CSV cells are as RFC 4180 has them', () => {
  assert.deepEqual(cells('a,b\r\nc,d'), [['a', 'b'], ['c', 'd']]);
  assert.deepEqual(cells('a,b\nc,d\n'), [['a', 'b'], ['c', 'd']]);
  assert.deepEqual(cells('\uFEFFa,"b ""c"", d"\r\n'), [['a', 'b "c", d']]);
  assert.deepEqual(cells('"",,""\r\n'), [['', '', '']]);
  assert.deepEqual(cells('a,\r\n,b'), [['a', ''], ['', 'b']]);
  assert.deepEqual(cells('a,'), [['a', '']]);
  assert.deepEqual(cells('"x\r\ny",z\r\n'), [['x\r\ny', 'z']]);
  assert.deepEqual(cells('a\r\n\r\n\nb\r\n'), [['a'], ['b']]);
  assert.deepEqual(cells('""\r\n'), [['']]);
  assert.deepEqual(cells(' a , b '), [[' a ', ' b ']]);
  assert.deepEqual(cells(''), []);
});

test('rows know their line, across line ends in quotes', () => {
  assert.deepEqual(parseCsv('a\r\n"b\r\nb"\r\n\r\nc').map((row) => row.line), [1, 2, 5]);
});

test('CSV that is none names its line', () => {
  failsAt(2, /never closed/, () => parseCsv('a\r\n"b\r\nc\r\n'));
  failsAt(1, /never closed/, () => parseCsv('"a""'));
  failsAt(2, /inside a cell/, () => parseCsv('a\r\nb"c"'));
  failsAt(3, /after a closing quote/, () => parseCsv('a\r\nb\r\n"c" d'));
  failsAt(1, /carriage return/, () => parseCsv('a\rb'));
});

test('what is written as CSV is read as it was', () => {
  const rows = [['a', 'b,c', 'd"e', 'f\r\ng', ''], ['', '"', '""', ' ', ',']];
  assert.deepEqual(cells(formatCsv(rows)), rows);
});

test('no cell is a formula to a spreadsheet, and each comes back as it was', () => {
  const names = ['=cmd|x', '+1', '-1', '@SUM(A1)', "'=1", "''", "'x", 'a=b', '＝1', '="a,""b"', '\t=1', '\r=1'];
  const text = targetsToCsv(names.map((name, i) => target(i, `192.0.2.${i}`, { name, paused: { reason: name } })));
  for (const { cells } of parseCsv(text)) for (const cell of cells) assert.doesNotMatch(cell, /^[=+\-@\t\r\n＝＋－＠]/);
  const back = targetsFromCsv(text).items as { name: string; paused: { reason: string } }[];
  assert.deepEqual(back.map((one) => one.name), names);
  assert.deepEqual(back.map((one) => one.paused.reason), names);
});

test('what a spreadsheet would run begins with an apostrophe, after a semicolon too, and comes back as it was', () => {
  assert.ok(examples.length > 20);
  for (const [cell, wanted] of examples as [string, string][]) {
    assert.equal(guarded(cell), wanted);
    assert.equal(unguarded(wanted), cell);
  }
});

test('a file with semicolons between its cells is read as well', () => {
  const text = '\uFEFFaddress;name;labels;size\r\n192.0.2.1;"a;b, c";site=fra,group=a;60\r\n192.0.2.2;\'=1;;\r\n';
  assert.deepEqual(targetsFromFile(text).items, [
    { address: '192.0.2.1', name: 'a;b, c', labels: { site: 'fra', group: 'a' }, size: 60 }, { address: '192.0.2.2', name: '=1' }]);
  failsAt(2, /2 cells, but 3 columns/, () => targetsFromCsv('address;name;size\na;b'));
  assert.deepEqual(targetsFromCsv('address,name\na,b;c').items, [{ address: 'a', name: 'b;c' }]);
});

test('JSON that is none names its line', () => {
  failsAt(3, /not JSON/, () => targetsFromFile('{"targets":[\n"a",\n}'));
  failsAt(2, /not JSON/, () => targetsFromFile('[1,\n'));
});

test('a list of targets comes back from CSV and from JSON with every setting', () => {
  const list = [target(1, '192.0.2.1', { name: 'the "core", one', labels: { site: 'fra', group: 'a' }, slow_ms: 20, lossy_percent: 25, dscp: 46, size: 100, paused: { reason: 'moved, "away"' } }),
    target(2, 'host.example', { family: 6, ttl: 9, dont_fragment: true, source: '2001:db8::1', interface: 'eth0', paused: { reason: 'x', until_ms: 1924000000123 } })];
  const wanted = list.map(({ id: _, ...rest }) => rest);
  for (const found of [targetsFromFile(targetsToCsv(list)), targetsFromFile(targetsToJson(list))])
    assert.deepEqual(found.items.map((item) => ({ name: '', labels: {}, ...(item as object) })), wanted);
});

test('a line that is no target is named', () => {
  failsAt(1, /“adress” is no column/, () => targetsFromCsv('adress\r\nx'));
  failsAt(1, /address is missing/, () => targetsFromCsv('name\r\nx'));
  failsAt(1, /twice/, () => targetsFromCsv('address,address\r\nx,y'));
  failsAt(1, /empty/, () => targetsFromCsv('\r\n'));
  failsAt(3, /3 cells, but 2 columns/, () => targetsFromCsv('address,name\r\na,b\r\na,b,c'));
  failsAt(4, /size must be a whole number/, () => targetsFromCsv('address,name,size\r\na,"b\r\nb",1\r\nc,d,1e3'));
  failsAt(2, /“x” is no label/, () => targetsFromCsv('address,labels\r\na,x'));
  failsAt(2, /true or false/, () => targetsFromCsv('address,dont_fragment\r\na,yes'));
  failsAt(2, /paused_until is a time/, () => targetsFromCsv('address,pause_reason,paused_until\r\na,b,tomorrow'));
  failsAt(2, /needs a reason/, () => targetsFromCsv('address,pause_reason,paused_until\r\na,,2030-01-01T00:00Z'));
  assert.deepEqual(targetsFromCsv('address,size\r\na,\r\n\r\nb,60').lines, [2, 4]);
  assert.throws(() => targetsFromFile('{"target":[]}'), /is expected/);
  assert.throws(() => targetsFromFile('[1,'));
});

test('only what was typed anew is changed, for each that is chosen', () => {
  const list = [target(1, 'a', { labels: { site: 'fra', tier: '1' }, size: 60 }), target(2, 'b', { slow_ms: 9, labels: { tier: '2' } }), target(3, 'c')];
  const chosen = list.slice(0, 2), typed = typedOf(chosen);
  assert.equal(typed.size, ''); // they differ
  assert.equal(typed.interval_ms, '5');
  assert.equal(changesOf(chosen, typed).any, false);
  const { changes, wrong, any } = changesOf(chosen, { ...typed, interval_ms: '2.5', labels: 'site=ber', unlabel: 'tier', slow_ms: '0' });
  assert.deepEqual([wrong, any], [{}, true]);
  const [a, b, c] = applyChanges(list, new Set([1, 2]), changes) as Target[];
  assert.deepEqual([a!.interval_ms, a!.size, a!.labels, a!.slow_ms], [2500, 60, { site: 'ber' }, 0]);
  assert.deepEqual([b!.interval_ms, b!.size, b!.labels, b!.slow_ms], [2500, 56, { site: 'ber' }, 0]);
  assert.deepEqual([c!.interval_ms, c!.labels, 'slow_ms' in c!], [5000, {}, false]);
});

test('of several, what is emptied stays as it is, and “default” takes a threshold back', () => {
  const list = [target(1, 'a', { slow_ms: 20, lossy_percent: 9 }), target(2, 'b', { slow_ms: 20, lossy_percent: 8 })];
  const of = (more: object) => changesOf(list, { ...typedOf(list), ...more });
  assert.deepEqual([of({ slow_ms: '' }).any, of({ interval_ms: '' }).any, of({ lossy_percent: '' }).any], [false, false, false]);
  const { changes, wrong } = of({ slow_ms: '', interval_ms: '', lossy_percent: 'Default' });
  assert.deepEqual(wrong, {});
  assert.deepEqual((applyChanges(list, new Set([1, 2]), changes) as Target[]).map((one) => [one.slow_ms, one.interval_ms, one.lossy_percent]), [[20, 5000, 0], [20, 5000, 0]]);
});

test('labels and name of one are replaced; an empty threshold is the default again', () => {
  const list = [target(1, 'a', { name: 'old', labels: { site: 'fra' }, lossy_percent: 5 })];
  const { changes } = changesOf(list, { ...typedOf(list), name: '', labels: 'x=y', lossy_percent: '' });
  const [a] = applyChanges(list, new Set([1]), changes) as Target[];
  assert.deepEqual([a!.name, a!.labels, a!.lossy_percent], ['', { x: 'y' }, 0]);
});

test('a pause has a reason and ends in the future; it is left, set and taken away', () => {
  const list = [target(1, 'a', { paused: { reason: 'old', until_ms: Date.parse('2030-01-01T12:00') } }), target(2, 'b')];
  const of = (chosen: Target[], more: object) => changesOf(chosen, { ...typedOf(chosen), ...more }, Date.parse('2029-01-01T00:00'));
  const saved = (chosen: Target[], more: object) => (applyChanges(list, new Set(chosen.map((one) => one.id)), of(chosen, more).changes) as { paused?: unknown }[]).map((one) => one.paused);
  assert.deepEqual([typedOf(list).pause, typedOf([list[0]!]).until], ['', '2030-01-01T12:00']);
  assert.deepEqual(saved(list, { size: '99' }), [list[0]!.paused, undefined]);
  assert.deepEqual(saved(list, { pause: 'no' }), [null, null]);
  assert.deepEqual(saved(list, { pause: 'yes', reason: 'new' }), [{ reason: 'new' }, { reason: 'new' }]);
  assert.deepEqual(saved([list[0]!], { reason: 'other' })[0], { reason: 'other', until_ms: list[0]!.paused!.until_ms });
  assert.match(of([list[1]!], { pause: 'yes' }).wrong.reason!, /needs a reason/);
  assert.match(of([list[1]!], { pause: 'yes', reason: 'x', until: '2028-01-01T00:00' }).wrong.until!, /future/);
  assert.deepEqual([isPaused(list[0]!, Date.parse('2030-01-01T11:59')), isPaused(list[0]!, Date.parse('2030-01-01T12:00')), isPaused(list[1]!, 0)], [true, false, false]);
});

test('limits of the fields, at their edges', () => {
  const one = [target(1, 'a', { interval_ms: 7000, timeout_ms: 7000, size: 99, dscp: 9 })];
  const bad = (key: string, text: string) => key in changesOf(one, { ...typedOf(one), [key]: text }).wrong;
  const edges: [string, string[], string[]][] = [
    ['interval_ms', ['0.1', '3600'], ['0.09', '3600.1', '', '-1', '1e1', 'x', '1.0001']],
    ['timeout_ms', ['0.01', '60'], ['0.009', '60.001', '']],
    ['size', ['16', '65000'], ['15', '65001', '16.5', '']],
    ['dscp', ['0', '63'], ['64', '']],
    ['slow_ms', ['0', '60000', ''], ['60001', '1.5']],
    ['lossy_percent', ['0', '100', ''], ['101']],
    ['labels', ['', 'a=b'], ['a', 'a=b,a=c']],
    ['unlabel', ['', 'a, b'], ['a=b']],
  ];
  for (const [key, good, wrong] of edges) {
    for (const text of good) assert.equal(bad(key, text), false, `${key} ${text}`);
    for (const text of wrong) assert.equal(bad(key, text), true, `${key} ${text}`);
  }
});
