// SPDX-License-Identifier: Apache-2.0
// Names, labels and rules through the page: who pings what, and what the matrix makes of it; light, dark and on a phone.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Lab, api, assertAccessible, go, launch, newPage, shoot, signIn, stateOf, until } from './lab.mjs';

const EVIL = '<img src=x onerror="document.title=1">';
let lab, browser, page;

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

const agent = (name) => page.locator(`[data-testid=agent][data-agent="${name}"]`);
const yes = () => page.getByTestId('confirm').click();

async function label(name, labels, title) {
  await go(page, 'Agents');
  await agent(name).getByTestId('edit').click();
  await page.getByTestId('agent-labels').fill(labels);
  if (title !== undefined) await page.getByTestId('agent-name').fill(title);
  await yes();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

async function setRules(...rules) {
  await go(page, 'Rules');
  await page.getByTestId('add-rule').waitFor();
  while (await page.getByTestId('rule').count()) await page.getByRole('button', { name: 'Remove rule 1' }).click();
  for (const [i, { kind, name, agents, targets }] of rules.entries()) {
    await page.getByTestId('add-rule').click();
    const rule = page.getByTestId('rule').nth(i);
    await rule.getByTestId('rule-kind').selectOption(kind);
    await rule.getByTestId('rule-name').fill(name ?? '');
    await rule.getByTestId('rule-agents').fill(agents);
    if (targets !== undefined) await rule.getByTestId('rule-targets').fill(targets);
  }
  await page.getByTestId('save-rules').click();
}

const shows = (agentName, target, state) => until(`${agentName} -> ${target} is ${state}`, 15, async () => (await stateOf(page, agentName, target)) === state);

async function allCells() {
  await go(page, 'Matrix');
  await page.getByTestId('all-cells').check();
}

test('two agents join, and all ping all', async () => {
  const { passphrase } = await api(page, 'POST', '/api/v1/passphrases', { advertise: `127.0.0.1:${lab.port}` });
  await api(page, 'PUT', '/api/v1/targets', { targets: [{ address: '127.0.0.1', name: 'core one', labels: { tier: 'core' } }, { address: '127.0.0.9', name: EVIL, labels: { tier: 'edge' } }] });
  lab.startAgent('fra-1', passphrase, '--advertise', '127.0.0.2');
  lab.startAgent('ber-1', passphrase, '--advertise', '127.0.0.3');
  await go(page, 'Agents');
  for (const name of ['fra-1', 'ber-1']) {
    await agent(name).getByTestId('approve').click();
    await yes();
    await page.locator(`[data-agent="${name}"][data-state=approved]`).waitFor();
  }
  await allCells();
  for (const name of ['fra-1', 'ber-1']) for (const target of ['127.0.0.1', '127.0.0.9']) await shows(name, target, 'ok');
});

test('an agent gets a name and labels, and text that looks like a page stays text', async () => {
  await go(page, 'Agents');
  await agent('ber-1').getByTestId('edit').click();
  await assertAccessible(page, 'name and labels');
  await page.getByTestId('agent-labels').fill('site=<b>x</b>');
  await yes();
  await page.getByRole('dialog').getByText('letters, digits').waitFor();
  await page.getByTestId('agent-labels').fill('nonsense');
  await yes();
  await page.getByRole('dialog').getByText('“nonsense” is no label').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await label('ber-1', 'site=ber, group=core', EVIL);
  await agent('ber-1').getByText('group=core').waitFor();
  await agent('ber-1').getByText(EVIL).waitFor();
  await label('fra-1', 'site=fra');
  assert.equal(await page.title(), 'Agents · Meshping');
});

test('somebody who was slower is told so, and nothing is lost', async () => {
  await go(page, 'Agents');
  await agent('fra-1').getByTestId('edit').click();
  const { agents } = await api(page, 'GET', '/api/v1/agents');
  const { id, labels } = agents.find((one) => one.host_name === 'fra-1');
  await api(page, 'PATCH', `/api/v1/agents/${id}`, { labels });
  await page.getByTestId('agent-labels').fill('site=muc');
  await yes();
  await page.getByText('Somebody has changed this agent meanwhile').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await agent('fra-1').getByText('site=fra').waitFor();
});

test('rules decide who pings what, and the matrix shows what is not meant to be', async () => {
  await setRules({ kind: 'targets', name: EVIL, agents: 'site in (fra', targets: 'tier=core' });
  await page.getByText("',' or ')' is expected").waitFor();
  await page.getByTestId('rule-agents').fill('site in (fra)');
  await page.getByTestId('preview-rules').click();
  await page.getByTestId('rules-preview').getByText('1 pair would be pinged, now it is 4: 0 more, 3 fewer. 2 agents would get another list.').waitFor();
  await page.getByTestId('save-rules').click();
  await page.getByText('Saved. The agents get what changes').waitFor();
  await allCells();
  await shows('fra-1', '127.0.0.1', 'ok');
  for (const [name, target] of [['fra-1', '127.0.0.9'], ['ber-1', '127.0.0.1'], ['ber-1', '127.0.0.9']]) await shows(name, target, 'unassigned');
  assert.equal(await page.getByTestId('legend-unassigned').getAttribute('data-count'), '3');
  assert.equal(await page.getByTestId('legend-no_data').getAttribute('data-count'), '0');
  await page.getByTestId('all-cells').uncheck();
  await page.getByText('Nothing. Every cell with data is OK.').waitFor();
  await page.getByLabel('Filter agents').fill('site=fra');
  await page.getByTestId('all-cells').check();
  await until('one row is left', 5, async () => (await page.getByTestId('cell').count()) === 2);
  await page.getByLabel('Filter agents').fill('');
});

test('a mesh is columns of agents, which ping each other and not themselves', async () => {
  await label('fra-1', 'site=fra, group=core');
  await setRules({ kind: 'mesh', name: 'core', agents: 'group=core' });
  await page.getByText('Saved. The agents get what changes').waitFor();
  await allCells();
  await shows('fra-1', '127.0.0.3', 'ok');
  await shows('ber-1', '127.0.0.2', 'ok');
  await shows('fra-1', '127.0.0.2', 'unassigned');
  await shoot(page, 'mesh');
});

test('a viewer reads the rules and changes none', async () => {
  const { token } = await api(page, 'POST', '/api/v1/users', { name: 'vera', role: 'viewer' });
  const vera = await newPage(browser);
  await vera.goto(`${lab.url}/#/link/${token}`);
  await vera.getByLabel('Password', { exact: true }).fill('thunder walrus ladder');
  await vera.getByLabel('Password again').fill('thunder walrus ladder');
  await vera.getByRole('button', { name: 'Set the password' }).click();
  await vera.getByRole('button', { name: 'Go to the sign-in page' }).click();
  await vera.getByLabel('User').fill('vera');
  await vera.getByLabel('Password').fill('thunder walrus ladder');
  await vera.getByRole('button', { name: 'Sign in' }).click();
  await go(vera, 'Rules');
  assert.equal(await vera.getByTestId('rule-agents').isDisabled(), true);
  assert.equal(await vera.getByTestId('save-rules').count(), 0);
  await assertAccessible(vera, 'rules of a viewer');
  await vera.context().close();
});

test('the rules are written by keyboard alone', async () => {
  await setRules({ kind: 'targets', agents: '', targets: '' });
  await page.getByText('Saved. The agents get what changes').waitFor();
  await page.getByTestId('add-rule').focus();
  await page.keyboard.press('Enter');
  await page.getByTestId('rule').nth(1).getByTestId('rule-name').focus();
  await page.keyboard.type('by hand');
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Tab');
  await page.keyboard.type('group=core');
  await page.keyboard.press('Enter');
  await page.getByText('Saved. The agents get what changes').waitFor();
  assert.deepEqual((await api(page, 'GET', '/api/v1/rules')).rules[1], { name: 'by hand', kind: 'mesh', agents: 'group=core', targets: '' });
});

test('the pages are readable in light, dark and on a phone', async () => {
  for (const [look, options] of [['light', {}], ['dark', { colorScheme: 'dark' }], ['phone', { viewport: { width: 390, height: 844 } }]]) {
    const other = await newPage(browser, options);
    await signIn(other, lab);
    for (const name of ['Rules', 'Agents', 'Targets', 'Matrix']) {
      await go(other, name);
      await until(`${name} is there`, 5, async () => (await other.title()).startsWith(name));
      await other.waitForLoadState('networkidle');
      await assertAccessible(other, `${name}, ${look}`);
      const wide = await other.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name} is ${wide} px wider than the ${look} window`);
      await shoot(other, `rules-${name.toLowerCase()}-${look}`);
    }
    assert.deepEqual(other.troubles, []);
    await other.context().close();
  }
  assert.deepEqual(page.troubles, []);
  assert.deepEqual(page.foreign, []);
});
