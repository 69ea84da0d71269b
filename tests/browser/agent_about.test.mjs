// SPDX-License-Identifier: Apache-2.0
// What agents say of themselves, on the page Agents: load, targets that they cannot measure with the reason, addresses
// of names; and long names, which make no page wider than the screen.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Lab, api, go, launch, look, newPage, signIn, sleep, until } from './lab.mjs';

let lab, browser, page;
const LONG = 'm'.repeat(63);

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser);
  await signIn(page, lab);
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

const row = (name) => page.locator(`[data-testid=agent][data-agent="${name}"]`);
const dialog = () => page.getByRole('dialog');
const note = (address) => dialog().locator(`[data-testid=note][data-target="${address}"]`);

test('an agent tells its load', async () => {
  await api(page, 'PUT', '/api/v1/targets', { targets: ['127.0.0.1 here', { address: 'localhost', name: 'by name' }, { address: 'fe80::1%gone0', name: 'by a wire' }] });
  const { passphrase } = await api(page, 'POST', '/api/v1/passphrases', { advertise: `127.0.0.1:${lab.port}` });
  for (const name of ['fra-1', LONG]) lab.startAgent(name, passphrase);
  await go(page, 'Agents');
  for (const name of ['fra-1', LONG]) {
    await row(name).getByTestId('approve').click({ timeout: 15000 });
    await page.getByTestId('confirm').click();
    await dialog().waitFor({ state: 'detached' });
  }
  await until('its load', 30, async () => /^CPU \d+\.\d %, load \d+\.\d\d$/.test(await row('fra-1').getByTestId('load').innerText({ timeout: 30000 })));
});

test('which targets it cannot measure and why, and what names are to it, is one key away', async () => {
  await row('fra-1').getByTestId('refused-targets').filter({ hasText: /^1 target not measurable$/ }).waitFor();
  const button = page.getByRole('button', { name: 'What fra-1 says of its targets' });
  await button.focus();
  await page.keyboard.press('Enter');
  await dialog().waitFor();
  await note('fe80::1%gone0').filter({ hasText: 'not measured: its host has no interface of this name' }).waitFor();
  await until('the address of the name', 20, async () => /is (127\.0\.0\.1|::1) to it/.test(await note('localhost').innerText({ timeout: 20000 })));
  assert.equal(await note('127.0.0.1').count(), 0, 'of that there is nothing to say');
  assert.equal(await dialog().getByTestId('note').first().getAttribute('data-target'), 'fe80::1%gone0', 'what is wrong comes first');
  await look(page, 'What an agent says');
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), 'What fra-1 says of its targets', 'the focus is back where it was');
});

test('long names are broken, and every page fits its screen', async () => {
  const name = 'W'.repeat(64);
  const { agents } = await api(page, 'GET', '/api/v1/agents');
  const labels = { ['k'.repeat(60)]: 'v'.repeat(60) };
  const change = ({ id }) => api(page, 'PATCH', `/api/v1/agents/${id}`, { name, labels });
  await change(agents.find((agent) => agent.host_name === LONG));
  await api(page, 'PUT', '/api/v1/targets', { targets: [{ address: `${LONG}.example`, name, labels }, { address: '198.18.0.7', name, labels, slow_ms: 10 }] });
  await api(page, 'PUT', '/api/v1/rules', { rules: [{ name, kind: 'targets', agents: '', targets: '' }] });
  await api(page, 'POST', '/api/v1/users', { name: 'u'.repeat(64), role: 'operator', email: `${'e'.repeat(60)}@example.org` });
  await api(page, 'POST', '/api/v1/tokens', { name, role: 'viewer', days: 3 });
  await api(page, 'POST', '/api/v1/passphrases', { advertise: `127.0.0.1:${lab.port}`, label: name });
  await go(page, 'Matrix');
  await page.getByTestId('cell').filter({ hasText: 'Fail' }).first().waitFor({ timeout: 20000 }); // in the table below
  const names = (await page.getByRole('navigation').getByRole('link').allInnerTexts()).map((text) => text.replace(/\s.*pending$/, '').trim());
  for (const [width, height] of [[1280, 800], [375, 667], [320, 568]]) {
    await page.setViewportSize({ width, height });
    for (const one of names) {
      await go(page, one);
      await sleep(400);
      const wide = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll('.table-wrap')]
        .filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => `${box.getAttribute('aria-labelledby') ?? 'page'} ${box.scrollWidth} in ${box.clientWidth}`));
      assert.deepEqual(wide, [], `${one}, ${width}`);
      const link = await page.locator('nav [aria-current]').boundingBox();
      assert.ok(link.x >= 0 && link.x + link.width < width + 1, `${one} is seen among the pages, ${width}: ${JSON.stringify(link)}`);
    }
    if (width === 1280) assert.ok(await page.getByRole('navigation').evaluate((nav) => nav.scrollWidth <= nav.clientWidth), 'all pages are seen');
  }
});

test('agents are found by what people know them by', async () => {
  await page.setViewportSize({ width: 1280, height: 800 });
  await go(page, 'Agents');
  await page.getByLabel('Filter agents').fill('FRA-');
  await until('one', 5, async () => (await page.getByTestId('agent').count()) === 1);
  await page.getByLabel('Filter agents').fill('vvvv');
  await row(LONG).waitFor();
  await page.getByLabel('Filter agents').fill('nobody');
  await page.getByText('No agent fits the filter.').waitFor();
});

test('nothing went wrong on the way', () => {
  assert.deepEqual(page.troubles, []);
  assert.deepEqual(page.foreign, []);
});
