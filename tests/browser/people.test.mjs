// SPDX-License-Identifier: Apache-2.0
// Users, roles, one's own account and the audit log through the page; each page in light, dark and on a phone.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Lab, assertAccessible, go, launch, newPage, password, shoot, signIn, until, user } from './lab.mjs';

const EVIL = '<img src=x onerror="document.title=1">';
const BERTS = 'thunder walrus ladder';
let lab, browser, page, bert, link;

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser);
  bert = await newPage(browser);
  await signIn(page, lab);
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

const row = (name) => page.locator(`[data-testid=user][data-user="${name}"]`);
const yes = () => page.getByTestId('confirm').click();

async function invite(name, role) {
  await page.getByTestId('new-name').fill(name);
  await page.getByTestId('new-role').selectOption(role);
  await page.getByTestId('invite').click();
  await page.getByRole('heading', { name: `Link for ${name}` }).waitFor();
  return page.getByTestId('user-link').innerText();
}

test('an administrator invites by a link, and who opens it chooses the password', async () => {
  await go(page, 'Users');
  link = await invite('bert', 'operator');
  assert.match(link, /^https:\/\/127\.0\.0\.1:\d+\/#\/link\/[\w-]{43}$/);
  assert.equal(await row('bert').getAttribute('data-status'), 'invited');

  await bert.goto(link);
  await bert.getByRole('heading', { name: 'Welcome' }).waitFor();
  await assertAccessible(bert, 'invitation');
  assert.equal(new URL(bert.url()).hash, '', 'the link is no longer in the address bar');
  const set = async (one, two) => {
    await bert.getByLabel('Password', { exact: true }).fill(one);
    await bert.getByLabel('Password again').fill(two);
    await bert.getByRole('button', { name: 'Set the password' }).click();
  };
  await set(BERTS, 'another one here');
  await bert.getByText('The two passwords differ').waitFor();
  await set('password1234', 'password1234');
  await bert.getByText('one of those that are tried first').waitFor();
  await set(BERTS, BERTS);
  await bert.getByText('The password is set.').waitFor();
  await bert.getByRole('button', { name: 'Go to the sign-in page' }).click();
  await bert.getByLabel('User').fill('bert');
  await bert.getByLabel('Password').fill(BERTS);
  await bert.getByRole('button', { name: 'Sign in' }).click();
  await bert.getByTestId('live').waitFor();
  await until('bert is active', 8, async () => (await row('bert').getAttribute('data-status')) === 'active');

  const late = await newPage(browser);
  await late.goto(link);
  await late.getByText('the link was used').waitFor();
  await late.context().close();
});

test('each role sees the pages that are for it', async () => {
  const names = async (of) => (await of.getByRole('navigation').getByRole('link').allInnerTexts()).map((name) => name.trim());
  assert.deepEqual(await names(page), ['Matrix', 'Agents', 'Targets', 'Rules', 'Add an agent', 'Users', 'Events', 'Audit', 'Settings', 'Account', 'About']);
  assert.deepEqual(await names(bert), ['Matrix', 'Agents', 'Targets', 'Rules', 'Events', 'Account', 'About']);
  await bert.goto(lab.url + '/#/users'); // what is not for him is not there
  await bert.getByTestId('live').waitFor();
  assert.equal(await bert.getByTestId('invite-form').count(), 0);
  await go(bert, 'Targets');
  await bert.getByTestId('targets-text').fill('127.0.0.1 here');
  await bert.getByTestId('save-targets').click();
  await bert.getByText('Saved: 1 target').waitFor();
  // a preview of the next change, which does nothing yet
  await bert.getByTestId('targets-text').fill('127.0.0.1 there\n127.0.0.2 more');
  await bert.getByTestId('preview-targets').click();
  await bert.getByTestId('preview').getByText('1 target more, 0 fewer, 1 changed, 0 as before').waitFor();
  assert.match(await bert.getByTestId('preview').innerText(), /\+ 127\.0\.0\.2 more\n~ 127\.0\.0\.1: name here → there/);
  await assertAccessible(bert, 'a preview');
  await bert.getByRole('button', { name: 'Undo edits' }).click();
  assert.equal(await bert.getByTestId('preview').count(), 0);
  assert.equal(await bert.getByTestId('target').count(), 1);
});

test('a new role counts at once: he is signed out, and has fewer rights after', async () => {
  await row('bert').getByLabel('Role of bert').selectOption('viewer');
  await page.getByRole('dialog').getByText('becomes viewer').waitFor();
  await assertAccessible(page, 'a question');
  await yes();
  await bert.getByRole('heading', { name: 'Sign in' }).waitFor();
  await bert.getByLabel('User').fill('bert');
  await bert.getByLabel('Password').fill(BERTS);
  await bert.getByRole('button', { name: 'Sign in' }).click();
  await bert.getByTestId('live').waitFor();
  await go(bert, 'Targets');
  await bert.getByTestId('target').waitFor();
  assert.equal(await bert.getByTestId('targets-text').count(), 0);
});

test('the last administrator is told that he is', async () => {
  await row(user).getByLabel(`Role of ${user}`).selectOption('viewer');
  await yes();
  await page.getByRole('alert').filter({ hasText: 'last administrator' }).waitFor();
  assert.equal(await row(user).getAttribute('data-role'), 'admin');
});

test('a name made of markup is shown, not run', async () => {
  await invite(EVIL, 'viewer');
  await page.getByText(EVIL).first().waitFor();
  await go(page, 'Audit');
  await page.getByTestId('audit-row').getByText(EVIL).first().waitFor();
  assert.notEqual(await page.title(), '1');
  await go(page, 'Users');
});

test('one changes the password and is out everywhere else', async () => {
  const other = await newPage(browser);
  await signIn(other, lab);
  await go(page, 'Account');
  await until('two sessions', 15, async () => (await page.getByTestId('web-session').count()) === 2);
  const change = async (current, next) => {
    await page.getByLabel('Current password').fill(current);
    await page.getByLabel('New password', { exact: true }).fill(next);
    await page.getByLabel('New password again').fill(next);
    await page.getByTestId('change-password').click();
  };
  await change('not the password', 'lamp orchid granite');
  await page.getByText('the current password is wrong').waitFor();
  await change(password, 'lamp orchid granite');
  await page.getByText('You are signed out everywhere else.').waitFor();
  await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  await other.context().close();
  await until('live goes on', 10, async () => (await page.getByTestId('live').getAttribute('data-status')) === 'live');
  await until('one session', 10, async () => (await page.getByTestId('web-session').count()) === 1);
  await change('lamp orchid granite', password);
  await page.getByText('You are signed out everywhere else.').waitFor();
});

test('a token is shown once, and works until it is deleted', async () => {
  await page.getByTestId('token-form').getByLabel('For what').fill('nightly report');
  await page.getByTestId('make-token').click();
  const token = await page.getByTestId('token').innerText();
  assert.match(token, /^mpt_[\w-]{43}$/);
  const ask = () => page.context().request.get(`${lab.url}/api/v1/targets`, { headers: { Authorization: `Bearer ${token}`, Cookie: '' } }).then((answer) => answer.status());
  assert.equal(await ask(), 200);
  await page.getByRole('button', { name: 'Done' }).click();
  assert.equal(await page.getByText(token).count(), 0);
  await page.getByRole('button', { name: 'Delete the token for nightly report' }).click();
  await yes();
  await until('it is gone', 5, async () => (await page.getByTestId('token-row').count()) === 0);
  assert.equal(await ask(), 401);
});

test('an administrator disables a user, who is out at once', async () => {
  await go(page, 'Users');
  await page.getByRole('button', { name: 'Disable bert' }).click();
  await yes();
  await bert.getByRole('heading', { name: 'Sign in' }).waitFor();
  await until('disabled', 8, async () => (await row('bert').getAttribute('data-status')) === 'disabled');
  await page.getByRole('button', { name: 'Enable bert' }).click();
  await yes();
  await until('enabled', 8, async () => (await row('bert').getAttribute('data-status')) === 'active');
});

test('the audit log says who did what, and is searched', async () => {
  await go(page, 'Audit');
  await page.getByTestId('audit-row').first().waitFor();
  const actions = await page.getByTestId('audit-row').evaluateAll((rows) => rows.map((r) => r.dataset.action));
  for (const action of ['user.create', 'user.password', 'user.change', 'session.begin', 'token.create', 'token.delete', 'targets.replace']) assert.ok(actions.includes(action), action);
  await page.getByLabel('Search the audit log').fill('nightly');
  await until('only its rows', 8, async () => {
    const shown = await page.getByTestId('audit-row').evaluateAll((rows) => rows.map((r) => r.dataset.action));
    return shown.length === 2 && shown.every((action) => action.startsWith('token.'));
  });
  await page.getByLabel('Search the audit log').fill('');
});

test('every page of these is accessible, light, dark and on a phone, and by keyboard', async () => {
  for (const [scheme, width] of [['light', 1280], ['dark', 1280], ['light', 390], ['dark', 390]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 800 });
    for (const [name, ready] of [['Users', 'user'], ['Account', 'web-session'], ['Audit', 'audit-row'], ['Targets', 'target'], ['Events', 'event'], ['About', 'version']]) {
      await go(page, name);
      await page.getByTestId(ready).first().waitFor();
      await assertAccessible(page, `${name}, ${scheme}, ${width}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(wide, 0, `${name} is wider than the screen of ${width}`);
      await shoot(page, `people-${name.toLowerCase()}-${scheme}-${width}`);
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1280, height: 800 });
  // by keyboard alone: to the form, an invitation, and out of a question with Esc
  await go(page, 'Users');
  await page.getByTestId('new-name').focus();
  await page.keyboard.type('keyboard only');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Link for keyboard only' }).waitFor();
  await page.getByRole('button', { name: 'Disable keyboard only' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await until('the question is gone', 5, async () => (await page.getByRole('dialog').count()) === 0);
  assert.equal(await row('keyboard only').getAttribute('data-status'), 'invited');
});

test('a password that was typed long ago is asked for again, and then the change goes on', async () => {
  await lab.server.end();
  lab.sql(`UPDATE web_sessions SET confirmed_ms = 0`);
  await lab.startServer();
  await until('live again', 20, async () => (await page.getByTestId('live').getAttribute('data-status')) === 'live');
  await page.getByTestId('new-name').fill('late one');
  await page.getByTestId('invite').click();
  const again = page.getByRole('dialog', { name: 'Your password, once more' });
  await again.waitFor();
  await assertAccessible(page, 'password once more');
  await again.getByLabel(`Password of ${user}`).fill('wrong wrong wrong');
  await page.getByTestId('again').click();
  await again.getByText('the password is wrong').waitFor();
  await again.getByLabel(`Password of ${user}`).fill(password);
  await page.getByTestId('again').click();
  await page.getByRole('heading', { name: 'Link for late one' }).waitFor();
  await until('live goes on', 10, async () => (await page.getByTestId('live').getAttribute('data-status')) === 'live');
});

test('nothing went wrong on the way', () => {
  for (const one of [page, bert]) {
    assert.deepEqual(one.troubles, []);
    assert.deepEqual(one.foreign, []);
  }
});
