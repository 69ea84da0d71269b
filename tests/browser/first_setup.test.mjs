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
  await page.getByTestId('sign-out').click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.deepEqual(page.troubles, []);
});
