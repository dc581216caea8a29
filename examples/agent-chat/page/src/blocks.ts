/** Cuts Markdown into blocks, so that a growing answer is parsed only at its end, and mends an end that is still coming. */

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const LIST_ITEM = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;
/** Definitions reach over blocks: with them a text stays whole. */
const DEFINITION = /^ {0,3}\[[^\]]+\]:/m;

/** The blocks of a text, in order. Joined by blank lines they are the text. */
export function blocksOf(text: string): readonly string[] {
	if (DEFINITION.test(text)) return [text];
	const blocks: string[] = [];
	let block: string[] = [];
	let fence: string | undefined;
	let blank = false;
	const close = (): void => {
		const whole = block.join("\n").trimEnd();
		if (whole !== "") blocks.push(whole);
		block = [];
	};
	for (const line of text.split("\n")) {
		if (fence === undefined && line.trim() === "") {
			blank = true;
			if (block.length > 0) block.push(line);
			continue;
		}
		if (blank && fence === undefined) {
			const first = block[0] ?? "";
			const goesOn = /^(?: {2,}|\t)/.test(line) || (LIST_ITEM.test(line) && LIST_ITEM.test(first));
			if (!goesOn) close();
		}
		blank = false;
		const mark = FENCE.exec(line)?.[1];
		if (fence === undefined) fence = mark;
		else if (mark?.startsWith(fence) === true && line.trim() === mark) fence = undefined;
		block.push(line);
	}
	close();
	return blocks;
}

/** The last block of a text that is still growing, without what would jump when the rest comes. */
export function mended(block: string): string {
	const lines = block.split("\n");
	const last = lines.at(-1) ?? "";
	if (insideFence(lines)) return block;
	// A table shows row by row: its head waits for the line below it, a row for its end.
	if (/^\s*\|/.test(last) || /^\s*\|/.test(lines[0] ?? "")) return mendedTable(lines);
	// A line of dashes below a text would make it a heading for a moment; a mark alone would show as text.
	if (/^\s*(?:-+|=+|#{1,6}|[*+]|>|\d{1,9}[.)]?|`{1,2}|~{1,2})\s*$/.test(last)) lines.pop();
	return closed(lines.join("\n"));
}

function insideFence(lines: readonly string[]): boolean {
	let fence: string | undefined;
	for (const line of lines) {
		const mark = FENCE.exec(line)?.[1];
		if (fence === undefined) fence = mark;
		else if (mark?.startsWith(fence) === true && line.trim() === mark) fence = undefined;
	}
	return fence !== undefined;
}

function mendedTable(lines: readonly string[]): string {
	const begin = lines.findIndex((line) => /^\s*\|/.test(line));
	const rows = lines.slice(begin);
	const whole = (row: string | undefined): boolean => row !== undefined && /\|\s*$/.test(row) && row.trim().length > 1;
	if (!/^\s*\|(?:\s*:?-+:?\s*\|)+\s*$/.test(rows[1] ?? "") || columns(rows[1]) < columns(rows[0])) return lines.slice(0, begin).join("\n");
	return (whole(rows.at(-1)) ? lines : lines.slice(0, -1)).join("\n");
}

function columns(row: string | undefined): number {
	return (row ?? "").split("|").length;
}

/** Closes what was opened in the last line: bold and code. */
function closed(text: string): string {
	const last = text.slice(text.lastIndexOf("\n") + 1);
	if (odd(last, "`")) return `${text}\``;
	if (!odd(last, "**")) return text;
	return text.endsWith("**") ? text.slice(0, -2) : `${text.trimEnd()}**`;
}

function odd(text: string, mark: string): boolean {
	return (text.split(mark).length - 1) % 2 === 1;
}
