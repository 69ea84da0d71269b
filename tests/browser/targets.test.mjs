// SPDX-License-Identifier: Apache-2.0
// Settings of targets through the page: one, several at once, out to a file and in from one; light, dark and on a phone.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test, { after, before } from 'node:test';
import { Lab, api, assertAccessible, go, launch, newPage, shoot, signIn } from './lab.mjs';

const EVIL = '<img src=x onerror="document.title=1">';
let lab, browser, page;

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser, { acceptDownloads: true });
  await signIn(page, lab);
  await put(['127.0.0.1 one', { address: '127.0.0.2', name: 'a "second", one', size: 99, labels: { site: 'fra', tier: 'x' } }, '127.0.0.3']);
  await go(page, 'Targets');
  await row('127.0.0.1').waitFor();
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

const put = (targets) => api(page, 'PUT', '/api/v1/targets', { targets });
const saved = async () => (await api(page, 'GET', '/api/v1/targets')).targets;
const row = (address) => page.locator(`[data-testid=target][data-target="${address}"]`);
const field = (name) => page.getByTestId(`edit-${name}`);
const yes = () => page.getByTestId('confirm').click();
const closed = () => page.getByRole('dialog').waitFor({ state: 'detached' });
const edit = async (...addresses) => {
  for (const address of addresses) await row(address).getByTestId('select').check();
  await page.getByTestId('edit-selected').click();
  await page.getByRole('dialog').waitFor();
};
const bringIn = (name, text) => page.getByTestId('import').setInputFiles({ name, mimeType: 'text/csv', buffer: Buffer.from(text) });

test('a field that cannot be taken says why, and nothing is saved', async () => {
  const before = await saved();
  await edit('127.0.0.1');
  await field('interval_ms').fill('0.05');
  await field('dscp').fill('64');
  await yes();
  await page.getByText('Interval must be 0.1 to 3600 s.').waitFor();
  await page.getByText('DSCP must be a whole number of 0 to 63.').waitFor();
  assert.equal(await field('interval_ms').getAttribute('aria-invalid'), 'true');
  await assertAccessible(page, 'wrong fields');
  await field('interval_ms').fill('2');
  await field('dscp').fill('46');
  await field('labels').fill('site=<b>');
  await yes();
  await page.getByRole('dialog').getByText('letters, digits').waitFor();
  assert.deepEqual(await saved(), before);
});

test('every setting of one target is edited, looked at before, and shown after', async () => {
  await field('name').fill(EVIL);
  await field('timeout_ms').fill('1.5');
  await field('size').fill('120');
  await field('slow_ms').fill('20');
  await field('lossy_percent').fill('25');
  await field('labels').fill('site=zrh, group=core');
  await page.getByTestId('edit-look').click();
  await page.getByTestId('edit-preview').getByText('0 targets more, 0 fewer, 1 changed, 2 as before').waitFor();
  await yes();
  await closed();
  const { id, ...rest } = (await saved())[0];
  assert.deepEqual(rest, { address: '127.0.0.1', name: EVIL, interval_ms: 2000, timeout_ms: 1500, size: 120, dscp: 46, family: 0,
    labels: { group: 'core', site: 'zrh' }, slow_ms: 20, lossy_percent: 25 });
  await row('127.0.0.1').getByText('slow above 20 ms, lossy from 25 %').waitFor();
  assert.equal(await page.title(), 'Targets · Meshping');
});

test('several are edited at once: what is left empty stays', async () => {
  await row('127.0.0.1').getByTestId('select').uncheck();
  await edit('127.0.0.2', '127.0.0.3');
  assert.equal(await field('name').count(), 0);
  assert.equal(await field('size').getAttribute('placeholder'), 'they differ');
  await field('interval_ms').fill('3');
  await field('timeout_ms').fill('');
  await field('lossy_percent').fill('default');
  await field('labels').fill('site=ber');
  await field('unlabel').fill('tier');
  await assertAccessible(page, 'settings of several');
  await yes();
  await closed();
  const [first, ...others] = await saved();
  assert.equal(first.interval_ms, 2000);
  assert.deepEqual(others.map((one) => [one.interval_ms, one.size, one.labels, one.name]),
    [[3000, 99, { site: 'ber' }, 'a "second", one'], [3000, 56, { site: 'ber' }, '']]);
});

test('targets are paused with a reason and an end, and resumed', async () => {
  await edit('127.0.0.2', '127.0.0.3');
  await field('pause').selectOption('yes');
  await field('until').fill('2020-01-01T00:00');
  await yes();
  await page.getByText('A pause needs a reason.').waitFor();
  await page.getByText('The end must lie in the future.').waitFor();
  await assertAccessible(page, 'a pause');
  await field('reason').fill(EVIL);
  await field('until').fill('2090-01-01T00:00');
  await yes();
  await closed();
  await row('127.0.0.2').getByTestId('paused').getByText(EVIL).waitFor();
  assert.deepEqual((await saved()).map((one) => one.paused?.reason), [undefined, EVIL, EVIL]);
  assert.ok((await saved())[1].paused.until_ms > Date.parse('2089-12-30'));
  await edit('127.0.0.2', '127.0.0.3');
  await field('pause').selectOption('no');
  await yes();
  await closed();
  await row('127.0.0.2').getByTestId('paused').waitFor({ state: 'detached' });
  assert.deepEqual((await saved()).map((one) => one.paused), [undefined, undefined, undefined]);
});

test('somebody who was slower is told so, and nothing is lost', async () => {
  await edit('127.0.0.2', '127.0.0.3');
  await field('dscp').fill('10');
  await put((await saved()).map(({ id, ...rest }) => ({ ...rest, dscp: 7 })));
  await yes();
  await page.getByText('Somebody else changed the list meanwhile').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  assert.deepEqual((await saved()).map((one) => one.dscp), [7, 7, 7]);
  await row('127.0.0.1').getByRole('cell', { name: '7', exact: true }).waitFor(); // what came meanwhile is shown
});

test('while the text is edited, settings are not', async () => {
  const text = await page.getByTestId('targets-text').inputValue();
  await page.getByTestId('targets-text').fill(`${text}\n127.0.0.4`);
  assert.equal(await page.getByTestId('edit-selected').isDisabled(), true);
  assert.equal(await page.getByTestId('import').isDisabled(), true);
  await page.getByRole('button', { name: 'Undo edits' }).click();
  assert.equal(await page.getByTestId('import').isDisabled(), false);
});

async function exported(kind) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId(`export-${kind}`).click()]);
  assert.equal(download.suggestedFilename(), `targets.${kind}`);
  return readFile(await download.path(), 'utf8');
}

test('a list goes out to a file and comes back the same, CSV and JSON', async () => {
  await page.reload();
  await row('127.0.0.1').waitFor();
  const wanted = await saved();
  for (const kind of ['csv', 'json']) {
    const text = await exported(kind);
    await put(['127.0.0.9']);
    await page.reload();
    await row('127.0.0.9').waitFor();
    await bringIn(`targets.${kind}`, text);
    await page.getByTestId('import-preview').getByText('3 targets more, 1 fewer, 0 changed, 0 as before').waitFor();
    await assertAccessible(page, 'import');
    assert.deepEqual((await saved()).map((one) => one.address), ['127.0.0.9']); // a look changes nothing
    await yes();
    await row('127.0.0.1').waitFor();
    assert.deepEqual(await saved(), wanted);
  }
});

test('a bad line of a file is named, and nothing is changed', async () => {
  const before = await saved();
  for (const [text, words] of [
    ['address,name\r\n127.0.0.1,"open\r\n127.0.0.2,x\r\n', 'Line 2: a quote is opened and never closed'],
    ['address,name\r\n127.0.0.1,"two\r\nlines, here"\r\nnot/a/host,x\r\n', 'Line 2: target 1: '], // a name of two lines
    ['address,size\r\n127.0.0.1,\r\n\r\nnot/a/host,60\r\n', 'Line 4: target 2: '],
    ['address,size\r\n127.0.0.1,15\r\n', 'Line 2: target 1: '],
    ['{"targets":["127.0.0.1",{"address":"127.0.0.2","sise":1}]}', 'Entry 2: target 2: "sise" is not a field of a target'],
    ['{"targets":[\n"127.0.0.1",\n]}', 'Line 3: this is not JSON'],
  ]) {
    await bringIn('bad.csv', text);
    await page.getByRole('alert').getByText(words).waitFor();
    assert.match(await page.getByRole('alert').innerText(), /Nothing was saved\.$/);
    assert.equal(await page.getByRole('dialog').count(), 0);
  }
  assert.deepEqual(await saved(), before);
});

test('light, dark and on a phone', async () => {
  for (const look of ['light', 'dark']) {
    const other = await newPage(browser, { viewport: { width: 390, height: 844 }, colorScheme: look });
    await signIn(other, lab);
    await other.goto(`${lab.url}/#/targets`);
    await other.getByTestId('select').first().check();
    await assertAccessible(other, `targets, ${look}, 390 px`);
    await other.getByTestId('edit-selected').click();
    await other.getByRole('dialog').waitFor();
    await other.getByTestId('edit-dscp').fill('99');
    await other.getByTestId('confirm').click();
    await other.getByText('DSCP must be').waitFor();
    await assertAccessible(other, `settings, ${look}, 390 px`);
    assert.equal(await other.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
    await shoot(other, `target-edit-${look}`);
    await other.context().close();
  }
});
