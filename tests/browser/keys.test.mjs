// SPDX-License-Identifier: Apache-2.0
// Other keys, through the page: of an agent, and of the server in its two steps, with one agent that is away meanwhile.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Lab, go, launch, look, newPage, signIn, until } from './lab.mjs';

let lab, browser, page, away;

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser);
  await signIn(page, lab);
  await go(page, 'Add an agent');
  await page.getByTestId('advertise').selectOption(`127.0.0.1:${lab.port}`);
  await page.getByTestId('label').fill('rack 7');
  await page.getByTestId('preapprove').fill('2');
  await page.getByTestId('preapprove-from').fill('127.0.0.0/8');
  await page.getByTestId('issue').click();
  const passphrase = (await page.getByTestId('passphrase').innerText()).trim();
  lab.startAgent('here', passphrase);
  away = lab.startAgent('away', passphrase);
  await go(page, 'Agents');
  await row('here').and(page.locator('[data-state=approved]')).waitFor({ timeout: 15000 });
  await row('away').and(page.locator('[data-state=approved]')).waitFor({ timeout: 15000 });
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

const row = (name) => page.locator(`[data-testid=agent][data-agent="${name}"]`);
const dialog = () => page.getByRole('dialog');
const fingerprint = async (name) => (await row(name).locator('.fingerprint').innerText()).trim();

test('an agent gets a new key: the warning says who is locked out, the fingerprint changes, it stays', async () => {
  const before = await fingerprint('here');
  const id = await row('here').getAttribute('data-agent-id');
  await page.getByRole('button', { name: 'New key for here' }).click();
  await dialog().getByText('The old key is refused from then on, for good').waitFor();
  assert.ok((await dialog().innerText()).includes(before));
  await look(page, 'New key of an agent');
  await page.getByTestId('confirm').click();
  await page.getByText('here is asked for a new key').waitFor();
  await until('it has a new one', 15, async () => (await fingerprint('here')) !== before);
  await until('it is online', 15, async () => (await row('here').getAttribute('data-online')) === 'true');
  assert.equal(await row('here').getAttribute('data-agent-id'), id);
  assert.equal(await row('here').getAttribute('data-state'), 'approved');
  await go(page, 'Events');
  await page.getByTestId('event').filter({ hasText: 'here has a new key' }).first().waitFor();
});

test('one that is away cannot be asked, and the page says so', async () => {
  await away.end();
  await go(page, 'Agents');
  await until('it is offline', 30, async () => (await row('away').getAttribute('data-online')) === 'false');
  await page.getByRole('button', { name: 'New key for away' }).click();
  await dialog().getByRole('alert').filter({ hasText: 'It is offline' }).waitFor();
  assert.ok(await page.getByTestId('confirm').isDisabled());
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
});

const pin = (name) => page.getByTestId(`key-${name}`).innerText();

test("the server's next key is made, told, and given up again", async () => {
  await go(page, 'About');
  await page.getByTestId('key-begin').click();
  await dialog().getByText('leave them some days before you switch').waitFor();
  await look(page, 'Next key of the server');
  const before = await pin('pin');
  await page.getByTestId('confirm').click();
  await page.getByText('The next key is made').waitFor();
  assert.match(await pin('next'), /^[0-9a-f]{32}$/);
  await page.getByTestId('key-stored').filter({ hasText: '1 of 2 approved agents' }).waitFor();
  assert.match(await page.getByTestId('key-waiting').innerText(), /Waited for: 1 agent\s+away offline/);
  await look(page, 'Waiting for agents');
  await page.getByTestId('key-abort').click();
  await page.getByTestId('confirm').click();
  await page.getByText('The next key is given up').waitFor();
  assert.equal(await pin('next'), 'none: no change is going on');
  assert.equal(await pin('pin'), before);
});

test('it switches only when the administrator leaves behind who is waited for, and says who that was', async () => {
  await page.getByTestId('key-begin').click();
  await page.getByTestId('confirm').click();
  await page.getByTestId('key-stored').filter({ hasText: '1 of 2 approved agents' }).waitFor();
  const next = await pin('next');
  await page.getByTestId('key-switch').click();
  await dialog().getByText('This cannot be taken back').waitFor();
  assert.ok(await page.getByTestId('confirm').isDisabled());
  await dialog().getByTestId('give-up').check();
  await look(page, 'Switch to the next key');
  await page.getByTestId('confirm').click();
  await page.getByText('The server has its next key').waitFor();
  assert.equal(await pin('pin'), next);
  assert.match(await page.getByTestId('key-left-behind').innerText(), /away/);
  assert.ok(!/here/.test(await page.getByTestId('key-left-behind').innerText()));
  await look(page, 'The key of the server');
  await go(page, 'Agents');
  assert.equal(await row('here').getAttribute('data-online'), 'true');
  await go(page, 'Add an agent');
  await page.locator('[data-testid=passphrase-row][data-status=revoked]').filter({ hasText: 'rack 7' }).waitFor();
});

test('the page broke nothing on the way', () => {
  assert.deepEqual(page.troubles, []);
  assert.deepEqual(page.foreign, []);
});
