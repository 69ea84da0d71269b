// SPDX-License-Identifier: Apache-2.0
// What docs/SECURITY.md claims of the page itself: password fields, signing out, and texts of strangers that stay text.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Lab, api, go, launch, newPage, signIn, until, user } from './lab.mjs';

const EVIL = '<img src=x onerror="document.title=1">';
let lab, browser, page;

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser, { userAgent: EVIL });
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

/** Each field whose label says password: hidden, of any length, for managers, and it takes what is pasted. */
async function checkFields(of, expected) {
  const fields = of.getByLabel(/password/i).and(of.locator('input'));
  await until(`${expected} password fields`, 5, async () => (await fields.count()) === expected);
  for (let i = 0; i < expected; i++) {
    const field = fields.nth(i);
    const found = await field.evaluate((e) => ({ type: e.type, fill: e.autocomplete, longest: e.maxLength, readOnly: e.readOnly }));
    assert.equal(found.type, 'password');
    assert.ok(['current-password', 'new-password'].includes(found.fill), found.fill);
    assert.ok(found.longest === -1 || found.longest >= 128, `maxlength ${found.longest}`);
    assert.equal(found.readOnly, false);
    // what was copied elsewhere on the page comes in whole
    const text = ` pasted text ${'x'.repeat(100)} ${i} `;
    await of.evaluate((value) => {
      const area = document.createElement('textarea');
      area.id = 'elsewhere';
      area.value = value;
      (document.querySelector('dialog[open]') ?? document.body).append(area);
      area.select();
    }, text);
    await of.locator('#elsewhere').press('Control+c');
    await field.fill('');
    await field.press('Control+v');
    assert.equal(await field.inputValue(), text);
    await field.fill('');
    await of.locator('#elsewhere').evaluate((e) => e.remove());
  }
}

test('every password field hides what is typed, takes a paste, and says what it is for', async () => {
  await page.goto(lab.url);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await checkFields(page, 1);
  await signIn(page, lab);
  await go(page, 'Account');
  await checkFields(page, 3);
  await go(page, 'Settings');
  await page.getByRole('heading', { name: 'Settings' }).first().waitFor();
  await checkFields(page, 1);
  await go(page, 'Users');
  await page.getByTestId('new-name').fill('invited');
  await page.getByTestId('invite').click();
  const link = await page.getByTestId('user-link').innerText();
  const other = await newPage(browser);
  await other.goto(link);
  await other.getByRole('heading', { name: 'Welcome' }).waitFor();
  await checkFields(other, 2);
  assert.deepEqual(other.troubles, []);
  await other.context().close();
});

test('one can sign out on every page', async () => {
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 800 });
    const names = (await page.getByRole('navigation').getByRole('link').allInnerTexts()).map((name) => name.trim());
    assert.ok(names.length >= 11, names.join());
    for (const name of names) {
      await go(page, name);
      const button = page.getByRole('banner').getByRole('button', { name: 'Sign out' });
      assert.ok(await button.isVisible(), `${name}, ${width}`);
      const box = await button.boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width && box.y >= 0 && box.y < 400, `${name}, ${width}: ${JSON.stringify(box)}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByTestId('sign-out').click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.goBack(); // nothing of it is there any more
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.equal(await page.getByText(user).count(), 0);
  await signIn(page, lab);
});

test('what strangers and colleagues write stays text wherever it is shown', async () => {
  // a browser's name, a token, a passphrase, and a machine that nobody knows
  await go(page, 'Account');
  await page.getByTestId('web-session').getByText(EVIL).first().waitFor();
  await page.getByTestId('token-form').getByLabel('For what').fill(EVIL);
  await page.getByTestId('make-token').click();
  await page.getByTestId('token').waitFor();
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByTestId('token-row').getByText(EVIL).first().waitFor();
  const { passphrase } = await api(page, 'POST', '/api/v1/passphrases', { advertise: `127.0.0.1:${lab.port}`, label: EVIL });
  await go(page, 'Add an agent');
  await page.getByTestId('passphrase-row').getByText(EVIL).first().waitFor();
  lab.startAgent(`\u202e${EVIL}`, passphrase);
  await go(page, 'Agents');
  await page.getByTestId('agent').getByText(`?${EVIL}`).first().waitFor();
  for (const name of ['Events', 'Audit']) {
    await go(page, name);
    await page.getByRole('main').getByText(EVIL).first().waitFor();
  }
  // searched for, it is found as what it is
  await page.getByLabel('Search the audit log').fill(EVIL);
  await until('only rows with it', 8, async () => {
    const shown = await page.getByTestId('audit-row').allInnerTexts();
    return shown.length > 0 && shown.every((text) => text.includes('<img'));
  });
  assert.notEqual(await page.title(), '1');
  assert.equal(await page.locator('img[src=x]').count(), 0);
});

test('nothing went wrong on the way', () => {
  assert.deepEqual(page.troubles, []);
  assert.deepEqual(page.foreign, []);
});
