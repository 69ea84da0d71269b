// SPDX-License-Identifier: Apache-2.0
// A server that nobody has used yet: the set-up code makes the first administrator.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { Lab, assertAccessible, launch, newPage } from './lab.mjs';

let lab, browser, page;
before(async () => {
  lab = new Lab();
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser);
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

test('the set-up code of the state directory makes the first administrator, a wrong one does not', async () => {
  await page.goto(lab.url);
  await page.getByRole('heading', { name: 'First set-up' }).waitFor();
  await assertAccessible(page, 'first set-up');
  const fill = async (code, again) => {
    await page.getByLabel('Set-up code').fill(code);
    await page.getByLabel('User').fill('anna');
    await page.getByLabel('Password', { exact: true }).fill('a long enough password');
    await page.getByLabel('Password again').fill(again);
    await page.getByRole('button', { name: 'Make the administrator' }).click();
  };
  await fill('WRONG-CODE', 'a long enough password');
  await page.getByText('The set-up code is wrong').waitFor();
  const code = readFileSync(path.join(lab.state, 'setup-code'), 'utf8').trim();
  await fill(code, 'another password');
  await page.getByText('The two passwords differ').waitFor();
  await fill(code, 'a long enough password');
  await page.getByTestId('first-steps').waitFor();
});

test('ten thousand targets are taken, one more is refused and its line named', async () => {
  const address = (i) => `198.18.${i >> 8}.${i & 255}`;
  const lines = (n) => Array.from({ length: n }, (_, i) => `${address(i)} host ${i}`);
  await page.getByRole('link', { name: 'Targets', exact: true }).click();
  // As a paste does it; typing so much into a textarea takes Chromium many seconds.
  const put = (value) => page.getByTestId('targets-text').evaluate((area, all) => {
    area.value = all;
    area.dispatchEvent(new Event('input', { bubbles: true }));
  }, value);
  await put(lines(10001).join('\n'));
  await page.getByTestId('save-targets').click();
  await page.getByRole('alert').filter({ hasText: /10,?000.*Nothing was saved/s }).waitFor();
  await put(lines(10000).join('\n'));
  await page.getByTestId('save-targets').click();
  await page.getByText('Saved: 10,000 targets').waitFor();
  await put([...lines(9999), '198.18.0.0 once more'].join('\n'));
  await page.getByTestId('save-targets').click();
  await page.getByRole('alert').filter({ hasText: /^Line (1|10000): .*Nothing was saved/s }).waitFor();
  assert.equal((await page.getByTestId('target').count()) > 0, true);
  await put('198.18.0.1 lonely');
  await page.getByTestId('save-targets').click();
  await page.getByText('Saved: 1 target,').waitFor();
  assert.equal(await page.getByTestId('target').count(), 1);
});

test('who signs out sees the sign-in page', async () => {
  await page.getByTestId('sign-out').click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.deepEqual(page.troubles, []);
});
