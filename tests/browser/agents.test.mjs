// SPDX-License-Identifier: Apache-2.0
// What an administrator decides about agents, through the page: approved beforehand, several at once, ranges, hold and
// what was sent meanwhile, a successor, a rejection with its consequences, passphrases replaced. One story in one mesh.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { Lab, go, launch, look, newPage, signIn, until } from './lab.mjs';

let lab, browser, page, passphrase;
const agents = {};

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

const row = (name, state) => page.locator(`[data-testid=agent][data-agent="${name}"]${state ? `[data-state=${state}]` : ''}`);
const dialog = () => page.getByRole('dialog');
const join = (name) => { agents[name] = lab.startAgent(name, passphrase); };

async function issue(label, more = async () => {}) {
  await go(page, 'Add an agent');
  await page.getByTestId('advertise').selectOption(`127.0.0.1:${lab.port}`);
  await page.getByTestId('label').fill(label);
  await more();
  await page.getByTestId('issue').click();
  await page.getByRole('heading', { name: `Passphrase for ${label}` }).waitFor();
  return (await page.getByTestId('passphrase').innerText()).trim();
}

test('the first agents of a network are approved beforehand, the next one waits', async () => {
  await go(page, 'Targets');
  await page.getByTestId('targets-text').fill('127.0.0.1 here\n127.0.0.2 there');
  await page.getByTestId('save-targets').click();
  await page.getByText('Saved: 2 targets').waitFor();
  passphrase = await issue('rack 7', async () => {
    await page.getByTestId('preapprove').fill('1');
    await page.getByTestId('preapprove-from').fill('not a network');
    await page.getByTestId('issue').click();
    await page.getByRole('alert').filter({ hasText: '"not" is not an address range' }).waitFor();
    await page.getByTestId('preapprove-from').fill('127.0.0.0/8');
  });
  await look(page, 'Passphrase issued');
  join('auto');
  await until('it was approved beforehand', 15, async () => /1 of 1 approved beforehand, from 127\.0\.0\.0\/8/.test(await page.getByTestId('beforehand').innerText()));
  join('fra-1');
  await page.getByTestId('pending-count').filter({ hasText: '1' }).waitFor({ timeout: 15000 });
  await go(page, 'Agents');
  await row('auto', 'approved').waitFor();
  await row('fra-1', 'pending').waitFor();
});

test('several are approved at once, with every fingerprint to compare', async () => {
  join('ams-1');
  join('lon-1');
  await row('ams-1', 'pending').waitFor({ timeout: 15000 });
  await row('lon-1', 'pending').waitFor({ timeout: 15000 });
  assert.ok(await page.getByTestId('approve-selected').isDisabled());
  await page.getByLabel('Select fra-1').check();
  await page.getByTestId('approve-selected').filter({ hasText: 'Approve 1' }).waitFor();
  await page.getByRole('button', { name: 'Select all' }).click();
  await look(page, 'Agents pending');
  await page.getByTestId('approve-selected').click();
  const list = await dialog().getByTestId('bulk-list').innerText();
  for (const name of ['fra-1', 'ams-1', 'lon-1']) assert.ok(list.includes(name) && list.split('\n').some((line) => line.length > 30 && agents[name].log().includes(line.trim())), `${name} with its fingerprint: ${list}`);
  await look(page, 'Approve several');
  await page.getByTestId('confirm').click();
  await page.getByText('3 agents approved.').waitFor();
  for (const name of ['fra-1', 'ams-1', 'lon-1']) await row(name, 'approved').waitFor();
});

test('ranges are edited with the keyboard alone; who is outside is on hold, and what it sends is kept apart', async () => {
  await page.getByRole('button', { name: 'Addresses of fra-1' }).focus();
  await page.keyboard.press('Enter');
  await dialog().waitFor();
  await dialog().getByTestId('ranges').focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('10.0.0.0/33');
  await page.keyboard.press('Tab'); // Cancel
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await dialog().getByRole('alert').waitFor(); // the reason, and nothing was typed in vain
  assert.equal(await dialog().getByTestId('ranges').inputValue(), '10.0.0.0/33');
  await look(page, 'Addresses');
  await dialog().getByTestId('ranges').fill('10.0.0.0/8');
  await page.getByTestId('confirm').click();
  await page.getByText('fra-1 is on hold now: it is connected from 127.0.0.1').waitFor();
  await row('fra-1', 'hold').filter({ hasText: 'in quarantine' }).waitFor({ timeout: 20000 });
  await page.getByRole('button', { name: 'Addresses of fra-1' }).click();
  await dialog().waitFor(); // Escape closes what is open, not what will be
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
});

test('it is released with what of its quarantine counts, and with ranges', async () => {
  await page.getByRole('button', { name: 'Approve fra-1' }).click();
  const source = dialog().getByTestId('quarantine').getByRole('checkbox');
  await source.waitFor();
  assert.ok(await source.isChecked(), 'it came from the address it has now');
  await look(page, 'Release');
  await source.uncheck();
  await source.check();
  await dialog().getByTestId('ranges').fill('127.0.0.0/8, 10.0.0.0/8');
  await page.getByTestId('confirm').click();
  await page.getByText('fra-1 is approved.').waitFor();
  await row('fra-1', 'approved').filter({ hasText: 'may come from 127.0.0.0/8' }).waitFor();
  await until('its quarantine is empty', 10, async () => !/quarantine/.test(await row('fra-1').innerText()));
  await go(page, 'Events');
  await page.getByTestId('event').filter({ hasText: /fra-1.*kept out of quarantine/ }).first().waitFor();
});

test('a host that was installed anew is the successor of itself', async () => {
  await go(page, 'Agents');
  const id = await row('ams-1', 'approved').getAttribute('data-agent-id');
  await agents['ams-1'].end();
  rmSync(path.join(lab.folder, 'agent-ams_1'), { recursive: true, force: true });
  join('ams-1');
  await row('ams-1', 'pending').waitFor({ timeout: 15000 });
  await row('ams-1', 'pending').filter({ hasText: 'same name' }).waitFor();
  await page.getByRole('button', { name: 'Approve ams-1' }).click();
  const options = await dialog().getByTestId('successor').locator('option').allInnerTexts();
  assert.match(options[1], /^ams-1 \(same name\), approved/);
  await dialog().getByTestId('successor').selectOption({ index: 1 });
  await dialog().getByText('whose key is retired for good').waitFor();
  await look(page, 'Approve as successor');
  await page.getByTestId('confirm').click();
  await page.getByText('ams-1 is approved, and has taken over the history of ams-1.').waitFor();
  await until('there is one of it', 10, async () => (await row('ams-1').count()) === 1);
  assert.equal(await row('ams-1', 'approved').getAttribute('data-agent-id'), id);
});

test('a passphrase is replaced: the old one is revoked, the new one shown once', async () => {
  await go(page, 'Add an agent');
  await page.getByRole('button', { name: 'Replace rack 7' }).click();
  await page.getByTestId('confirm').click();
  await page.getByTestId('passphrase').waitFor();
  const next = (await page.getByTestId('passphrase').innerText()).trim();
  assert.ok(next.startsWith('MP1-') && next !== passphrase);
  await page.locator('[data-testid=passphrase-row][data-status=revoked]').filter({ hasText: 'rack 7' }).waitFor();
  await page.locator('[data-testid=passphrase-row][data-status^=valid]').filter({ hasText: 'rack 7' }).waitFor();
  passphrase = next;
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByTestId('passphrase-row').last().scrollIntoViewIfNeeded();
  await look(page, 'Passphrases');
  assert.equal(await page.getByTestId('passphrase').count(), 0);
});

test('who is rejected takes its address and its passphrase along, if one likes', async () => {
  join('rogue');
  await go(page, 'Agents');
  await row('rogue').waitFor({ timeout: 15000 });
  await page.getByRole('button', { name: 'Reject rogue' }).click();
  await dialog().getByTestId('block-address').check();
  await dialog().getByTestId('revoke-passphrase').check();
  await look(page, 'Reject');
  await page.getByTestId('confirm').click();
  await page.getByText('rogue is rejected. 127.0.0.1 is blocked. Its passphrase is revoked').waitFor();
  await row('rogue', 'blacklisted').waitFor();
  await page.getByText('Blocked addresses').click();
  await until('the address is in the list', 5, async () => (await page.getByTestId('blocked').inputValue()) === '127.0.0.1');
  await look(page, 'Agents with blocked addresses');
  await page.getByTestId('blocked').fill('192.0.2.0/24');
  await page.getByTestId('blocked-form').getByRole('button', { name: 'Save' }).click();
  await until('fra-1 comes back', 60, async () => (await row('fra-1').getAttribute('data-online')) === 'true');
  await go(page, 'Add an agent');
  assert.equal(await page.locator('[data-testid=passphrase-row][data-status^=valid]').count(), 0);
});

test('what somebody else has changed meanwhile is said, and nothing is done', async () => {
  await go(page, 'Agents');
  await page.getByRole('button', { name: 'Hold lon-1' }).click();
  await page.evaluate(async () => {
    const { csrf } = await (await fetch('/api/v1/session')).json();
    const { agents: list } = await (await fetch('/api/v1/agents')).json();
    const { id } = list.find((agent) => agent.host_name === 'lon-1');
    await fetch(`/api/v1/agents/${id}/addresses`, { method: 'PUT', body: '{"addresses":"127.0.0.0/9"}', headers: { 'X-CSRF-Token': csrf, 'Content-Type': 'application/json' } });
  });
  await page.getByTestId('confirm').click();
  await dialog().getByRole('alert').waitFor();
  await page.keyboard.press('Escape');
  await row('lon-1', 'approved').waitFor();
});

test('the page broke nothing on the way', () => {
  assert.deepEqual(page.troubles, []);
  assert.deepEqual(page.foreign, []);
});
