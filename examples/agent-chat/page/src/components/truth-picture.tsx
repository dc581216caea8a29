/** Offsets over the last half minute, and below them the state of the connection. Drawn on a canvas. */
import { type ReactNode, useEffect, useRef } from "react";
import { type Arrivals, SHOWN_MS } from "../arrivals.ts";
import { theme } from "../theme.ts";
import type { Timeline } from "../timeline.ts";
import { useDelivery, useMedia, useObserved, useSession } from "./hooks.tsx";

const BAND = 16;
/** Room for the names of faults. */
const TOP = 18;
/** Room for the last offset. */
const RIGHT = 46;
const FRAME_MS = 50;
const CALM_FRAME_MS = 1_000;

export function TruthPicture({ label }: { readonly label: string }): ReactNode {
	const canvas = useRef<HTMLCanvasElement>(null);
	const { timeline } = useSession();
	const { arrivals } = useDelivery();
	const calm = useMedia("(prefers-reduced-motion: reduce)");
	const shade = useObserved(theme, ({ present }) => present);
	// biome-ignore lint/correctness/useExhaustiveDependencies: a change of theme changes what `coloursOf` reads
	useEffect(() => {
		const element = canvas.current;
		const context = element?.getContext("2d");
		if (element === null || context === null || context === undefined) return undefined;
		const colours = coloursOf(element);
		let height = { low: 0, high: 1 };
		let last = Number.NEGATIVE_INFINITY;
		let frame = 0;
		const draw = (now: number): void => {
			frame = requestAnimationFrame(draw);
			if (now - last < (calm ? CALM_FRAME_MS : FRAME_MS)) return;
			last = now;
			const { clientWidth, clientHeight } = element;
			const scale = devicePixelRatio;
			if (element.width !== Math.round(clientWidth * scale) || element.height !== Math.round(clientHeight * scale)) {
				element.width = Math.round(clientWidth * scale);
				element.height = Math.round(clientHeight * scale);
			}
			context.setTransform(scale, 0, 0, scale, 0, 0);
			height = paint({ context, width: clientWidth, height: clientHeight, arrivals, timeline, colours, now: Date.now(), range: calm ? undefined : height });
		};
		frame = requestAnimationFrame(draw);
		return () => cancelAnimationFrame(frame);
	}, [arrivals, timeline, calm, shade]);
	return <canvas className="picture" data-testid="truth-picture" ref={canvas} role="img" aria-label={label} />;
}

interface Colours {
	readonly live: string;
	readonly replay: string;
	readonly wrong: string;
	readonly line: string;
	readonly text: string;
	readonly strong: string;
	readonly faint: string;
	readonly font: string;
}

function coloursOf(element: Element): Colours {
	const style = getComputedStyle(element);
	const of = (name: string): string => style.getPropertyValue(name).trim();
	return {
		live: of("--accent"),
		replay: of("--replay"),
		wrong: of("--bad"),
		line: of("--line"),
		text: of("--text-2"),
		strong: of("--text"),
		faint: of("--surface-2"),
		font: `500 11px ${of("--sans")}`,
	};
}

interface Range {
	readonly low: number;
	readonly high: number;
}

interface Scene {
	readonly context: CanvasRenderingContext2D;
	readonly width: number;
	readonly height: number;
	readonly arrivals: Arrivals;
	readonly timeline: Timeline;
	readonly colours: Colours;
	readonly now: number;
	/** The range of the last frame, from which this one glides; undefined to jump. */
	readonly range: Range | undefined;
}

function paint(scene: Scene): Range {
	const { context, width, height, arrivals, colours, now } = scene;
	const since = now - SHOWN_MS;
	const right = width - RIGHT;
	const x = (at: number): number => ((at - since) / SHOWN_MS) * right;
	const bottom = height - BAND - 6;
	const seen = arrivals.stretches.filter(({ until }) => until >= since);
	const lowest = Math.min(...seen.map(({ from }) => from), arrivals.stretches.at(-1)?.to ?? 0);
	const highest = Math.max(...seen.map(({ to }) => to), lowest + 10);
	const range = glide(scene.range, { low: lowest - 1, high: highest });
	const y = (offset: number): number => bottom - ((offset - range.low) / Math.max(1, range.high - range.low)) * (bottom - TOP);
	context.clearRect(0, 0, width, height);
	context.font = colours.font;
	context.textBaseline = "middle";
	context.save();
	context.beginPath();
	context.rect(0, 0, right + 3, height);
	context.clip();
	grid(scene, x, right, bottom);
	offsets(scene, x, y);
	faults(scene, x, right, bottom);
	marks(scene, x, y, bottom);
	band(scene, x, right, height - BAND);
	context.restore();
	const last = arrivals.stretches.at(-1);
	if (last === undefined) {
		const words = "Offsets show here as they arrive";
		label(context, words, colours.text, (right - context.measureText(words).width) / 2, (TOP + bottom) / 2);
	} else {
		context.fillStyle = last.delivery === "live" ? colours.live : colours.replay;
		context.beginPath();
		context.arc(right, y(last.to), 3, 0, 2 * Math.PI);
		context.fill();
		label(context, last.to.toLocaleString("en"), colours.strong, right + 8, y(last.to));
	}
	label(context, "now", colours.text, right + 8, height - BAND / 2 - 1);
	return range;
}

function glide(former: Range | undefined, next: Range): Range {
	if (former === undefined || former.high < next.low || former.low > next.high || former.high === 1) return next;
	const step = (from: number, to: number): number => (Math.abs(to - from) < 0.5 ? to : from + (to - from) * 0.25);
	// What is new must be in the picture at once; what leaves it may take its time.
	return { low: Math.min(step(former.low, next.low), next.low), high: Math.max(step(former.high, next.high), next.high) };
}

/** A line below the curve, and one every ten seconds. */
function grid({ context, colours, now }: Scene, x: (at: number) => number, right: number, bottom: number): void {
	context.strokeStyle = colours.line;
	context.lineWidth = 1;
	context.beginPath();
	context.moveTo(0, bottom + 2.5);
	context.lineTo(right, bottom + 2.5);
	for (let at = Math.ceil((now - SHOWN_MS) / 10_000) * 10_000; at < now; at += 10_000) {
		context.moveTo(Math.round(x(at)) + 0.5, bottom - 2);
		context.lineTo(Math.round(x(at)) + 0.5, bottom + 2);
	}
	context.stroke();
}

/** The curve of the offsets: thin where they came live, thick where they were replayed, dotted where nothing came. */
function offsets({ context, arrivals, colours, now }: Scene, x: (at: number) => number, y: (offset: number) => number): void {
	let former: { readonly until: number; readonly to: number } | undefined;
	for (const { since, until, from, to, delivery } of arrivals.stretches) {
		if (former !== undefined && x(since) - x(former.until) > 1.5) dotted(context, colours.line, x(former.until), y(former.to), x(since), y(former.to));
		context.strokeStyle = delivery === "live" ? colours.live : colours.replay;
		context.lineWidth = delivery === "live" ? 2 : 5;
		context.lineCap = "round";
		context.beginPath();
		const start = former !== undefined && from === former.to + 1 ? former.to : from;
		context.moveTo(x(since), y(start));
		context.lineTo(Math.max(x(until), x(since) + 0.5), y(to));
		context.stroke();
		former = { until, to };
	}
	if (former !== undefined) dotted(context, colours.line, x(former.until), y(former.to), x(now), y(former.to));
}

function dotted(context: CanvasRenderingContext2D, colour: string, fromX: number, fromY: number, toX: number, toY: number): void {
	context.save();
	context.strokeStyle = colour;
	context.lineWidth = 1.5;
	context.setLineDash([2, 4]);
	context.beginPath();
	context.moveTo(fromX, fromY);
	context.lineTo(toX, toY);
	context.stroke();
	context.restore();
}

function marks({ context, arrivals, colours }: Scene, x: (at: number) => number, y: (offset: number) => number, bottom: number): void {
	for (const { at, kind, offset, count } of arrivals.marks) {
		if (x(at) < 0) continue;
		if (kind === "duplicates") {
			context.strokeStyle = colours.replay;
			context.lineWidth = 1.5;
			context.beginPath();
			context.arc(x(at), Math.min(y(offset), bottom - 6), 5.5, 0, 2 * Math.PI);
			context.stroke();
			label(context, `${count} dropped`, colours.text, x(at) + 8, bottom - 6);
			continue;
		}
		context.strokeStyle = colours.wrong;
		context.lineWidth = 2;
		context.setLineDash([5, 3]);
		context.beginPath();
		context.moveTo(x(at), TOP);
		context.lineTo(x(at), bottom);
		context.stroke();
		context.setLineDash([]);
		label(context, "gap", colours.wrong, x(at) + 4, TOP + 6);
	}
}

function label(context: CanvasRenderingContext2D, text: string, colour: string, x: number, y: number): void {
	context.fillStyle = colour;
	context.fillText(text, x, y);
}

/** A thin line for each fault, with its name where there is room. */
function faults({ context, timeline, colours }: Scene, x: (at: number) => number, right: number, bottom: number): void {
	let free = 0;
	for (const { at, fault: name } of timeline.faults) {
		const place = x(at);
		if (place < 0) continue;
		context.strokeStyle = colours.text;
		context.lineWidth = 1;
		context.setLineDash([1, 3]);
		context.beginPath();
		context.moveTo(place, 2);
		context.lineTo(place, bottom);
		context.stroke();
		context.setLineDash([]);
		const wide = context.measureText(name).width;
		const beside = place + 4 + wide > right ? place - 4 - wide : place + 4;
		if (beside < free) continue;
		label(context, name, colours.strong, beside, 7);
		free = beside + wide + 6;
	}
}

const WORDS = {
	connected: "connected",
	connecting: "connecting",
	idle: "connecting",
	waiting: "waiting",
	offline: "offline",
	closed: "closed",
	failed: "stopped",
} as const;

/** The states of the connection: filled, striped or empty, with their names where there is room. */
function band({ context, timeline, colours, now }: Scene, x: (at: number) => number, right: number, top: number): void {
	const height = BAND - 3;
	timeline.spans.forEach((span, index) => {
		const until = timeline.spans[index + 1]?.since ?? now;
		const from = Math.max(0, x(span.since));
		const to = Math.min(right, x(until));
		if (to <= 0 || to - from < 0.2) return;
		context.save();
		context.beginPath();
		context.rect(from, top, Math.max(1.5, to - from), height);
		context.clip();
		if (span.name === "connected") {
			context.globalAlpha = 0.22;
			context.fillStyle = colours.live;
			context.fillRect(from, top, to - from, height);
		} else if (span.name === "connecting" || span.name === "waiting" || span.name === "idle") {
			context.fillStyle = colours.faint;
			context.fillRect(from, top, to - from, height);
			context.strokeStyle = colours.replay;
			context.lineWidth = span.name === "waiting" ? 1.2 : 2.4;
			context.beginPath();
			for (let at = Math.floor(from / 6) * 6 - height; at < to + 6; at += 6) {
				context.moveTo(at, top + height);
				context.lineTo(at + height, top);
			}
			context.stroke();
		} else {
			context.strokeStyle = colours.wrong;
			context.lineWidth = 2;
			context.strokeRect(from + 1, top + 1, Math.max(0, to - from - 2), height - 2);
		}
		context.globalAlpha = 1;
		const words = WORDS[span.name];
		const room = context.measureText(words).width + 10;
		if (to - from > room) {
			if (span.name !== "connected" && span.name !== "offline" && span.name !== "failed" && span.name !== "closed") {
				context.fillStyle = colours.faint;
				context.fillRect(from + 3, top + 1, room - 4, height - 2);
			}
			label(context, words, colours.text, from + 5, top + height / 2 + 0.5);
		}
		context.restore();
	});
}
