// SPDX-License-Identifier: Apache-2.0
// What somebody has typed and not saved: it stays while one looks at other pages, while others change the same, while
// the server is away and when the session ends; and what others change is shown without a reload.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Lab, api, assertAccessible, go, launch, look, newPage, password, signIn, until, user } from './lab.mjs';

let lab, browser, page, other;
const MINE = '127.0.0.1 mine';

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser);
  other = await newPage(browser);
  await signIn(page, lab);
  await signIn(other, lab);
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

const text = () => page.getByTestId('targets-text');
const elsewhere = (...targets) => api(other, 'PUT', '/api/v1/targets', { targets });
const saved = async () => (await api(other, 'GET', '/api/v1/targets')).targets.map((target) => `${target.address} ${target.name}`);

async function signInAgain(name, word) {
  const over = page.getByRole('dialog', { name: 'Sign in' });
  await over.getByLabel('User').fill(name);
  await over.getByLabel('Password').fill(word);
  await over.getByRole('button', { name: 'Sign in' }).click();
  await over.waitFor({ state: 'detached' });
}

test('what others change is shown without a reload on every page', async () => {
  await go(page, 'Targets');
  await page.getByText('No targets yet').waitFor();
  await elsewhere('127.0.0.2 theirs');
  await page.locator('[data-testid=target][data-target="127.0.0.2"]').waitFor();
  await until('also in the text', 3, async () => (await text().inputValue()).trim() === '127.0.0.2 theirs');
  await go(page, 'Rules');
  await page.getByTestId('rule').first().waitFor();
  await api(other, 'PUT', '/api/v1/rules', { rules: [{ name: 'theirs', kind: 'targets', agents: 'site=fra', targets: '' }] });
  await until('their rule', 8, async () => (await page.getByTestId('rule-name').first().inputValue()) === 'theirs');
  await go(page, 'Settings');
  await page.locator('#setting-offline_s').waitFor();
  await api(other, 'PATCH', '/api/v1/settings', { offline_s: 21 });
  await until('their setting', 8, async () => (await page.locator('#setting-offline_s').inputValue()) === '21');
  await go(page, 'Audit');
  await page.getByTestId('audit-row').first().waitFor();
  const rows = await page.getByTestId('audit-row').count();
  await api(other, 'PATCH', '/api/v1/settings', { offline_s: 22 });
  await until('one row more, on top', 8, async () => (await page.getByTestId('audit-row').count()) === rows + 1);
  assert.match(await page.getByTestId('audit-row').first().innerText(), /offline_s/);
});

test('a list that is being edited stays on the way over other pages', async () => {
  await go(page, 'Targets');
  await text().fill(MINE);
  await go(page, 'Matrix');
  await go(page, 'Targets');
  assert.equal(await text().inputValue(), MINE);
  await page.getByText('1 target, not saved').waitFor();
});

test('others change it meanwhile: one is told, saves over it only by will, and sees what that does', async () => {
  await elsewhere('127.0.0.2 theirs', '127.0.0.3 too');
  await page.getByText('Somebody else has changed the list since you began').waitFor();
  assert.equal(await text().inputValue(), MINE);
  await look(page, 'List changed by somebody else');
  await page.getByTestId('save-targets').click();
  await page.getByText('Nothing was saved: somebody else changed the list meanwhile').waitFor();
  assert.equal((await saved()).length, 2);
  await page.getByTestId('keep-edits').click();
  await page.getByTestId('preview').filter({ hasText: /1 target more, 2 fewer/ }).waitFor();
  await page.getByTestId('save-targets').click();
  await page.getByText('Saved: 1 target').waitFor();
  assert.deepEqual(await saved(), [MINE]);
});

test('after another page, too, nobody saves unseen over what came since', async () => {
  await text().fill('127.0.0.9 draft');
  await go(page, 'About');
  await elsewhere('127.0.0.4 newer');
  await go(page, 'Targets');
  await page.getByText('Somebody else has changed the list since you began').waitFor();
  await page.getByTestId('save-targets').click();
  await page.getByText('Nothing was saved').first().waitFor();
  assert.deepEqual(await saved(), ['127.0.0.4 newer']);
  await page.getByTestId('drop-edits').click();
  assert.equal((await text().inputValue()).trim(), '127.0.0.4 newer');
});

test('rules and settings that are being edited are kept in the same way', async () => {
  await go(page, 'Rules');
  await page.getByTestId('rule-name').fill('my own');
  await go(page, 'Settings');
  await page.locator('#setting-pending_max').fill('77');
  await go(page, 'Rules');
  assert.equal(await page.getByTestId('rule-name').inputValue(), 'my own');
  await api(other, 'PUT', '/api/v1/rules', { rules: [] });
  await page.getByText('Somebody else has changed the rules since you began').waitFor();
  await assertAccessible(page, 'rules changed by somebody else');
  assert.equal(await page.getByTestId('rule-name').inputValue(), 'my own');
  await page.getByTestId('drop-edits').click();
  await page.getByText('No rule: no agent pings anything.').waitFor();
  await go(page, 'Settings');
  assert.equal(await page.locator('#setting-pending_max').inputValue(), '77');
  await api(other, 'PATCH', '/api/v1/settings', { pending_max: 66 });
  await page.getByTestId('save-settings').click();
  await page.getByText('Somebody else changed the settings meanwhile').waitFor();
  assert.equal(await page.locator('#setting-pending_max').inputValue(), '77');
  await page.getByRole('button', { name: 'Undo all' }).click();
});

test('a session that was ended elsewhere is said, and what was typed is there after signing in', async () => {
  await go(page, 'Targets');
  await page.getByRole('button', { name: 'Select all' }).click();
  await page.getByTestId('edit-selected').click();
  await page.getByTestId('edit-name').fill('typed before');
  await api(other, 'DELETE', '/api/v1/sessions');
  const over = page.getByRole('dialog', { name: 'Sign in' });
  await over.getByText('Your session has ended').waitFor();
  assert.equal(await over.getByLabel('User').inputValue(), user);
  assert.ok(await over.getByLabel('Password').evaluate((field) => field === document.activeElement), 'only the password is left to type');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  assert.ok(await over.isVisible());
  const box = await over.boundingBox();
  assert.deepEqual([box.x, box.y, box.width, box.height], [0, 0, 1280, 800], 'nothing of the page is seen');
  await look(page, 'Session ended');
  await signInAgain(user, password);
  await until('live again', 5, async () => (await page.getByTestId('live').getAttribute('data-status')) === 'live');
  assert.equal(await page.getByTestId('edit-name').inputValue(), 'typed before');
  await page.getByTestId('confirm').click();
  await page.getByText('Saved: 1 target').waitFor();
  assert.deepEqual(await saved(), ['127.0.0.4 typed before']);
});

test('who signs in then as somebody else finds nothing of it', async () => {
  const { path } = await api(other, 'POST', '/api/v1/users', { name: 'bert', role: 'operator', email: '' });
  const bert = await newPage(browser);
  await bert.goto(lab.url + path);
  await bert.getByLabel('Password', { exact: true }).fill('thunder walrus ladder');
  await bert.getByLabel('Password again').fill('thunder walrus ladder');
  await bert.getByRole('button', { name: 'Set the password' }).click();
  await bert.getByText('The password is set.').waitFor();
  await text().fill('127.0.0.8 of anna');
  await api(other, 'DELETE', '/api/v1/sessions');
  await page.getByText('Your session has ended').waitFor();
  await signInAgain('bert', 'thunder walrus ladder');
  await go(page, 'Targets');
  await until('the list as it is saved', 5, async () => (await text().inputValue()).trim() === '127.0.0.4 typed before');
  await page.getByTestId('sign-out').click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.equal(await page.getByText('has ended').count(), 0);
  await signIn(page, lab);
});

test('a page that was opened while the server was away fills when it is back', async () => {
  await lab.server.end();
  await page.getByTestId('lost').waitFor();
  await go(page, 'Rules');
  await page.getByText('The server does not answer').waitFor();
  await lab.startServer();
  await page.getByText('No rule: no agent pings anything.').waitFor({ timeout: 15000 });
  assert.equal(await page.getByText('The server does not answer').count(), 0);
});

test('nothing went wrong on the way', () => {
  assert.deepEqual(page.troubles, []);
  assert.deepEqual(page.foreign, []);
});
