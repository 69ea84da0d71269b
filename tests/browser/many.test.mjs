// SPDX-License-Identifier: Apache-2.0
// 1,000 agents and 1,000 targets: nothing that one does holds the page up for over 200 ms, neither its answer nor the
// snapshot that the change brings to every page.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Lab, api, go, launch, newPage, signIn, sleep } from './lab.mjs';

const MOST_MS = 200;
const TRIES = 3; // the best counts: other work on the machine is no matter of the page
let lab, browser, page;

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  await lab.startServer();
  await lab.server.end();
  lab.sql(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
    INSERT INTO agents(id, public_key, host_name, version, state, first_seen_ms, last_seen_ms, state_changed_ms, reported_address, observed_address, approved_addresses, labels, reason, revision)
    SELECT i + 1, randomblob(32), 'agent-' || i, '0.1.0', 1, 1790000000000 + i, 1790000000000, 1790000000000, '198.18.0.1', '198.18.0.1', '198.18.0.0/15', 'group=g' || (i % 10), '', 1 FROM n`);
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser);
  await signIn(page, lab);
  const targets = Array.from({ length: 1000 }, (_, i) => ({ address: `192.0.${Math.floor(i / 200)}.${(i % 200) + 1}`, name: `target ${i}`, labels: { group: `g${i % 10}` } }));
  await api(page, 'PUT', '/api/v1/targets', { targets });
  await page.evaluate(() => {
    globalThis.longest = 0;
    const keep = (list) => { for (const entry of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, entry.duration); };
    new PerformanceObserver(keep).observe({ type: 'longtask' });
    new PerformanceObserver(keep).observe({ type: 'event', durationThreshold: 104 });
  });
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

/** Does it up to three times, with what leads back to where it began. */
async function quick(what, act, back) {
  const took = [];
  for (let i = 0; i < TRIES; i++) {
    await sleep(300);
    await page.evaluate(() => { globalThis.longest = 0; });
    await act(i);
    await sleep(1500); // what it brings comes with the next second
    took.push(Math.round(await page.evaluate(() => globalThis.longest)));
    if (back) await back();
    if (took.at(-1) <= MOST_MS) return;
  }
  assert.fail(`${what}: the page was held up for ${took.join(', ')} ms`);
}

const about = () => go(page, 'About');

test('pages open', async () => {
  await about();
  for (const [name, id] of [['Agents', 'agent'], ['Targets', 'target'], ['Matrix', 'matrix']]) {
    await quick(name, async () => {
      await go(page, name);
      await page.getByTestId(id).first().waitFor();
    }, about);
  }
});

test('an agent is renamed, and put on hold', async () => {
  await go(page, 'Agents');
  await quick('rename', async (i) => {
    await page.getByTestId('edit').nth(i).click();
    await page.getByTestId('agent-name').fill(`Frankfurt ${i}`);
    await page.getByTestId('confirm').click();
    await page.getByText(`Frankfurt ${i}`).waitFor();
  });
  await quick('hold', async (i) => {
    await page.getByTestId('hold').nth(10).click();
    await page.getByTestId('confirm').click();
    await page.locator('[data-state=hold]').nth(i).waitFor();
  });
  assert.ok((await page.getByTestId('agent').count()) <= 110, 'a page of them');
  await quick('filter', () => page.getByLabel('Filter agents').fill('agent-999'), () => page.getByLabel('Filter agents').fill(''));
  await page.getByLabel('Filter agents').fill('agent-999');
  await page.locator('[data-testid=agent][data-agent=agent-999]').waitFor();
});

test('the matrix is filtered, and arranged by problems', async () => {
  await go(page, 'Matrix');
  await quick('filter', () => page.getByLabel('Filter agents').fill('agent-12'), () => page.getByLabel('Filter agents').fill(''));
  await quick('no filter', () => page.getByLabel('Filter agents').fill(''), () => page.getByLabel('Filter agents').fill('agent-1'));
  await page.getByLabel('Filter agents').fill('');
  await quick('problems first', () => page.getByTestId('problems-first').click());
});

test('targets are edited, many at once', async () => {
  await go(page, 'Targets');
  await page.getByTestId('select-all').click();
  await quick('pause all', async (i) => {
    await page.getByTestId('edit-selected').click();
    await page.getByTestId('edit-pause').selectOption('yes');
    await page.getByTestId('edit-reason').fill(`line card ${i}`);
    await page.getByTestId('confirm').click();
    await page.getByText('Saved: 1,000 targets').waitFor();
  });
});

test('nothing went wrong on the way', () => {
  assert.deepEqual(page.troubles, []);
});
