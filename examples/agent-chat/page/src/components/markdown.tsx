/** Markdown of an answer, parsed block by block. */
import { memo, type ReactNode, useMemo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import { blocksOf, mended } from "../blocks.ts";
import { CodeBlock } from "./code-block.tsx";

const PLUGINS = [remarkGfm];

const COMPONENTS: Components = {
	// The title of the page is the only one of the first level.
	h1: ({ children }) => <h2 className="level-1">{children}</h2>,
	h2: ({ children }) => <h3 className="level-2">{children}</h3>,
	h3: ({ children }) => <h4>{children}</h4>,
	h4: ({ children }) => <h5>{children}</h5>,
	h5: ({ children }) => <h6>{children}</h6>,
	pre: ({ node }) => {
		const code = node?.children[0];
		if (code?.type !== "element") return null;
		const names = code.properties["className"];
		const language = Array.isArray(names) ? /^language-(.+)$/.exec(String(names[0]))?.[1] : undefined;
		const text = code.children.map((child) => (child.type === "text" ? child.value : "")).join("");
		return <CodeBlock text={text.replace(/\n$/, "")} language={language} />;
	},
	table: ({ children }) => (
		<div className="table-frame" tabIndex={0} role="region" aria-label="Table">
			<table>{children}</table>
		</div>
	),
	// A link between files of the project leads nowhere here.
	a: ({ children, href }) =>
		href !== undefined && /^https?:/.test(href) ? (
			<a href={href} target="_blank" rel="noreferrer noopener">
				{children}
			</a>
		) : (
			<span title={href}>{children}</span>
		),
	// Nothing is loaded from elsewhere: in the place of a picture stands a link to it.
	img: ({ alt, src }) => {
		const words = alt === undefined || alt === "" ? "picture" : alt;
		if (typeof src !== "string" || !/^https?:/.test(src)) return <span>{words}</span>;
		return (
			<a href={src} target="_blank" rel="noreferrer noopener">
				{words}
			</a>
		);
	},
};

const Block = memo(function Block({ text }: { readonly text: string }): ReactNode {
	return (
		<ReactMarkdown remarkPlugins={PLUGINS} components={COMPONENTS}>
			{text}
		</ReactMarkdown>
	);
});

export const Markdown = memo(function Markdown({ text, growing }: { readonly text: string; readonly growing: boolean }): ReactNode {
	const blocks = useMemo(() => blocksOf(text), [text]);
	return (
		<div className="markdown" data-growing={growing}>
			{blocks.map((block, index) => (
				// biome-ignore lint/suspicious/noArrayIndexKey: blocks are only appended
				<Block key={index} text={growing && index === blocks.length - 1 ? mended(block) : block} />
			))}
		</div>
	);
});

/** One line of text in which only `code` is marked. */
export function Inline({ text }: { readonly text: string }): ReactNode {
	const pieces = text.split("`");
	// An odd number of marks: the last one is a character like others.
	if (pieces.length % 2 === 0) return text;
	// biome-ignore lint/suspicious/noArrayIndexKey: a piece has no state
	return pieces.map((piece, index) => (index % 2 === 1 ? <code key={index}>{piece}</code> : piece));
}
