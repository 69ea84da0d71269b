// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';
import { Mesh, arrange, flatten } from '../src/model.ts';
import { isLoopback } from '../src/addresses.ts';
import { State, isMeasured, weight } from '../src/states.ts';
import { formatLabels, parseLabels } from '../src/labels.tsx';
import { formatTargets, parseTargets } from '../src/targets_text.ts';
import { fitLayout, spotAt } from '../src/matrix/layout.ts';
import { summarise, toMarks } from '../src/series.ts';
import { duration, rtt, rttShort } from '../src/format.ts';

const agent = (id: string, state = 'approved'): any => ({ id, host_name: `host-${id}`, name: '', labels: { group: `g${id}` }, advertised_address: '', state, online: true, observed_address: '10.0.0.1', revision: 1 });
const target = (id: number, address: string, name = ''): any => ({ id, address, name, interval_ms: 5000, timeout_ms: 3000, size: 56, dscp: 0, labels: {} });

function mesh(): Mesh {
  const m = new Mesh();
  m.applySnapshot(flatten({
    time_ms: 1000, version: 7, targets_revision: 3, interval_ms: 5000,
    agents: [agent('a'), agent('p', 'pending'), agent('b', 'hold')],
    targets: [target(1, '192.0.2.1', 'gateway'), target(2, '192.0.2.2'), target(3, '2001:db8::1')],
    cells: { a: [[1, 300, 0, 900], [4, null, 12, 900], [0, null, 0, 0]], b: [[1, 400, 0, 900], [1, 500, 0, 900], [1, 0, 0, 900]] },
  }));
  return m;
}
const everything = { agentFilter: '', targetFilter: '', only: new Set<number>(), problemsFirst: false };

test('a pending agent has no row', () => {
  assert.deepEqual(mesh().rows.map((a) => a.id), ['a', 'b']);
});

test('a round trip of zero microseconds is not the same as no reply', () => {
  const m = mesh();
  assert.equal(m.cell(1, 2)?.rttUs, 0);
  assert.equal(m.cell(0, 1)?.rttUs, null);
});

test('counts follow a delta', () => {
  const m = mesh();
  assert.equal(m.counts[State.Fail], 1);
  assert.equal(m.counts[State.Ok], 4);
  assert.equal(m.applyDelta({ time_ms: 2000, version: 7, cells: { a: [[1, 3, 800, 5, 1900]], nobody: [[0, 4, null, 1, 1]] } }), true);
  assert.equal(m.counts[State.Fail], 0);
  assert.equal(m.counts[State.Lossy], 1);
  assert.deepEqual([m.cell(0, 1)?.rttUs, m.cell(0, 1)?.lost, m.timeMs], [800, 5, 2000]);
});

test('a delta of another snapshot changes nothing', () => {
  const m = mesh();
  assert.equal(m.applyDelta({ time_ms: 2000, version: 8, cells: { a: [[0, 4, null, 1, 1]] } }), false);
  assert.deepEqual([m.cell(0, 0)?.state, m.timeMs], [State.Ok, 1000]);
});

test('a column beyond the list is left out, a state unknown to this page is no verdict', () => {
  const m = mesh();
  m.applyDelta({ time_ms: 2000, version: 7, cells: { a: [[3, 4, null, 1, 1], [0, 99, 1, 0, 1]] } });
  assert.equal(m.cell(1, 0)?.state, State.Ok);
  assert.equal(m.cell(0, 0)?.state, State.NoData);
  assert.equal([...m.counts].reduce((sum, n) => sum + n), 6);
});

test('filters keep rows and columns whose words all match', () => {
  assert.deepEqual([...arrange(mesh(), { ...everything, targetFilter: 'GATE way' }).columns], [0]);
  assert.deepEqual([...arrange(mesh(), { ...everything, agentFilter: 'host-b' }).rows], [1]);
});

test('problems come first, ties stay in order', () => {
  const order = arrange(mesh(), { ...everything, problemsFirst: true });
  assert.deepEqual([...order.columns], [1, 0, 2]);
  assert.deepEqual([...order.rows], [0, 1]);
});

test('a chosen state leaves only the rows and columns that have it', () => {
  const order = arrange(mesh(), { ...everything, only: new Set([State.Fail]) });
  assert.deepEqual([[...order.rows], [...order.columns]], [[0], [1]]);
});

test('target text goes there and back, and keeps the settings of targets that stay', () => {
  const saved = [{ ...target(1, '192.0.2.1', 'core router'), interval_ms: 1000 }, target(2, 'host.example')];
  const text = formatTargets(saved);
  assert.equal(text, '192.0.2.1 core router\nhost.example');
  const parsed = parseTargets(`# ours\n\n${text}\n  2001:db8::1\tnew one `, saved);
  assert.deepEqual(parsed.lines, [2, 3, 4]);
  assert.deepEqual(parsed.items[0], { address: '192.0.2.1', name: 'core router', interval_ms: 1000, timeout_ms: 3000, size: 56, dscp: 0, labels: {} });
  assert.deepEqual(parsed.items[2], { address: '2001:db8::1', name: 'new one' });
});

test('what lies under the pointer follows scrolling, and the headings are no cells', () => {
  const layout = fitLayout(1000, 100, 10, 10);
  const order = { rows: Uint32Array.from([0, 1, 2]), columns: Uint32Array.from({ length: 100 }, (_, i) => i) };
  const at = (column: number, row: number) => [layout.headWidth + (column + 0.5) * layout.cellWidth, layout.headHeight + (row + 0.5) * layout.cellHeight] as const;
  assert.deepEqual(spotAt(layout, order, ...at(2, 1), 0, 0), { row: 1, column: 2 });
  assert.deepEqual(spotAt(layout, order, ...at(2, 1), 10 * layout.cellWidth, layout.cellHeight), { row: 2, column: 12 });
  assert.equal(spotAt(layout, order, layout.headWidth - 1, 200, 0, 0), undefined);
  assert.equal(spotAt(layout, order, ...at(0, 3), 0, 0), undefined);
});

const series: any = {
  agent: 'a', target: 1, from_ms: 0, to_ms: 60000, interval_ms: 5000,
  time_ms: [5000, 10000, 15000, 40000, 45000], rtt_us: [1000, null, 3000, null, 2000], outcome: ['ok', 'timeout', 'ok', 'isolated', 'ok'], flags: [0, 0, 0, 0, 0],
  gaps: [{ from_ms: 15000, to_ms: 40000, reason: 'connection_trouble' }],
};

test("an agent's own trouble is no loss", () => {
  const hour = summarise(series);
  assert.deepEqual([hour.replies, hour.lost, hour.local, hour.lossPercent], [3, 1, 1, 25]);
  assert.deepEqual([hour.minUs, hour.meanUs, hour.p95Us, hour.maxUs], [1000, 2000, 3000, 3000]);
});

test('the line breaks at losses and in missing stretches', () => {
  const marks = toMarks(series);
  assert.deepEqual(marks.x, [5, 10, 15, 27.5, 40, 45]);
  assert.deepEqual(marks.y, [1, null, 3, null, null, 2]);
  assert.deepEqual([marks.lostS, marks.localS], [[10], [40]]);
  assert.deepEqual(marks.gaps, [{ fromS: 15, toS: 40, words: 'connection trouble with the agent', paused: false }]);
});

test('a young pair is drawn over the time it has, a silent one over the whole hour', () => {
  const hour = { ...series, from_ms: 0, to_ms: 3600000 };
  assert.equal(toMarks({ ...hour, time_ms: [3590000], rtt_us: [1], outcome: ['ok'], gaps: [] }).fromS, 3300);
  assert.equal(toMarks({ ...hour, time_ms: [1805000], rtt_us: [1], outcome: ['ok'], gaps: [] }).fromS, 1800);
  assert.equal(toMarks({ ...hour, time_ms: [3590000], rtt_us: [1], outcome: ['ok'], gaps: [{ from_ms: 0, to_ms: 3590000, reason: 'connection_trouble' }] }).fromS, 0);
});

test('a series without a verdict has no loss figure', () => {
  const hour = summarise({ ...series, time_ms: [], rtt_us: [], outcome: [], flags: [], gaps: [] });
  assert.ok(Number.isNaN(hour.lossPercent));
  assert.equal(hour.p95Us, null);
});

test('numbers read well', () => {
  assert.deepEqual([rtt(312), rtt(23456), rtt(150000), rtt(1200000), rtt(null)], ['0.31 ms', '23.5 ms', '150 ms', '1.20 s', 'no reply']);
  assert.deepEqual([rttShort(0), rttShort(45678)], ['0.00', '45.7']);
  assert.deepEqual([duration(4000), duration(90000), duration(7260000)], ['4 s', '1 min 30 s', '2 h 1 min']);
});

test('loopback addresses are known in all their forms', () => {
  for (const address of ['127.0.0.1:8443', '[::1]:8443', 'localhost:8443', '[::ffff:127.0.0.1]:1']) assert.equal(isLoopback(address), true, address);
  for (const address of ['192.0.2.1:8443', '[2001:db8::1]:8443', 'localhost.example:1', '[::12]:1']) assert.equal(isLoopback(address), false, address);
});

test('labels are found by the filter, and typed as text', () => {
  assert.deepEqual([...arrange(mesh(), { ...everything, agentFilter: 'group=gb' }).rows], [1]);
  assert.deepEqual(parseLabels('site = fra,\n group=core , empty='), { site: 'fra', group: 'core', empty: '' });
  assert.equal(formatLabels({ site: 'fra', group: 'core' }), 'group=core, site=fra');
  assert.throws(() => parseLabels('site=fra, nonsense'), /“nonsense” is no label/);
  assert.throws(() => parseLabels('a=b, a=c'), /twice/);
});

test('what is not meant to be is no problem, no missing data, and pulls nothing up', () => {
  const m = mesh();
  m.applyDelta({ time_ms: 2000, version: 7, cells: { a: [[2, 9, null, 0, 0], [0, 8, null, 0, 0]] } });
  assert.equal(m.counts[State.Unassigned], 1);
  assert.equal(m.counts[State.Paused], 1);
  assert.equal(m.counts[State.NoData], 0);
  assert.deepEqual([isMeasured(State.Unassigned), isMeasured(State.Paused), isMeasured(State.Fail)], [false, false, true]);
  assert.deepEqual([weight[State.Unassigned], weight[State.Paused]], [0, 0]);
});

test('labels and thresholds of a target survive an edit of the text', () => {
  const saved = [{ ...target(1, '192.0.2.1', 'gateway'), labels: { tier: 'core' }, slow_ms: 20, lossy_percent: 25 }];
  const [item] = parseTargets('192.0.2.1 renamed', saved).items as any[];
  assert.deepEqual([item.name, item.labels, item.slow_ms, item.lossy_percent], ['renamed', { tier: 'core' }, 20, 25]);
});
