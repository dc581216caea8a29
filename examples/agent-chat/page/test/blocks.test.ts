import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, mended } from "../src/blocks.ts";

test("a text is cut between paragraphs, and never inside of a fence or a list", () => {
	const text = ["# Title", "", "One", "two", "", "```rs", "a", "", "b", "```", "", "- x", "", "  more", "", "- y", "", "After"].join("\n");
	assert.deepEqual(blocksOf(text), ["# Title", "One\ntwo", "```rs\na\n\nb\n```", "- x\n\n  more\n\n- y", "After"]);
});

test("blocks that are over stay as they are while the text grows", () => {
	const text = "# A\n\nsome `code` here\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n- one\n- two\n\nend";
	const whole = blocksOf(text);
	for (let length = 1; length < text.length; length += 1) {
		const partial = blocksOf(text.slice(0, length));
		assert.deepEqual(partial.slice(0, -1), whole.slice(0, partial.length - 1), `at ${length}`);
	}
});

test("a text with link definitions stays whole", () => {
	const text = "See [this].\n\n[this]: https://example.com";
	assert.deepEqual(blocksOf(text), [text]);
});

test("a table shows when its head is whole, and then row by row", () => {
	const cases: readonly (readonly [string, string])[] = [
		["| a | b", ""],
		["| a | b |", ""],
		["| a | b |\n| --", ""],
		["| a | b |\n| --- |", ""],
		["| a | b |\n| --- | --- |", "| a | b |\n| --- | --- |"],
		["| a | b |\n| --- | --- |\n| 1", "| a | b |\n| --- | --- |"],
		["| a | b |\n| --- | --- |\n| 1 | 2 |", "| a | b |\n| --- | --- |\n| 1 | 2 |"],
	];
	for (const [growing, shown] of cases) assert.equal(mended(growing), shown, growing);
});

test("what was opened is closed, and a mark alone does not show", () => {
	const cases: readonly (readonly [string, string])[] = [
		["some **bold", "some **bold**"],
		["some **", "some "],
		["some **bold** text", "some **bold** text"],
		["a `co", "a `co`"],
		["Text\n--", "Text"],
		["##", ""],
		["one\n\n- ", "one\n"],
		["```rs\nlet **x", "```rs\nlet **x"],
	];
	for (const [growing, shown] of cases) assert.equal(mended(growing), shown, JSON.stringify(growing));
});
