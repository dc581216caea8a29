/** What arrived, what was found when it was compared with the log, and how the page came back from the last fault. */
import { type ReactNode, useState } from "react";
import type { Outcome } from "../truth.ts";
import { ago, count, plural, recoveryWords, resumeResult } from "../words.ts";
import { useDelivered, useDelivery, useMedia, useNow, useObserved, useSession } from "./hooks.tsx";
import { Icon } from "./icons.tsx";
import { TruthPicture } from "./truth-picture.tsx";

export function TruthStrip(): ReactNode {
	const delivery = useDelivery();
	const { outcome, busy, isShown, resumed } = useDelivered();
	const recovery = useObserved(useSession().timeline, (timeline) => timeline.recovery);
	const narrow = useMedia("(max-width: 860px)");
	const [chosen, setChosen] = useState<boolean>();
	const open = chosen ?? !narrow;
	const recovered = recoveryWords(recovery);
	const caughtUp = resumed === undefined ? "Nothing was caught up yet." : resumeResult(resumed);
	return (
		<section className="truth" aria-label="What arrived, compared with the log" data-testid="truth" data-open={open}>
			<div className="truth-line">
				<Counters outcome={outcome} isShown={isShown} />
				<Verified outcome={outcome} isShown={isShown} busy={busy} />
				<button type="button" className="small" data-testid="verify" disabled={busy} onClick={() => void delivery.verify("all")}>
					Compare now
				</button>
				<button
					type="button"
					className="icon-only"
					aria-expanded={open}
					aria-controls="truth-body"
					aria-label={open ? "Hide the picture" : "Show the picture"}
					onClick={() => setChosen(!open)}
				>
					<span className="turn" data-open={open}>
						<Icon name="chevron" size={16} />
					</span>
				</button>
			</div>
			{open ? (
				<div className="truth-body" id="truth-body">
					<div className="picture-frame">
						<TruthPicture label={`Offsets of the last half minute. ${caughtUp} ${recovered}`} />
						<ul className="legend" aria-hidden="true">
							<li>
								<i className="live" /> live
							</li>
							<li>
								<i className="replayed" /> replayed
							</li>
							<li>
								<i className="dropped" /> duplicates dropped
							</li>
							<li>
								<i className="gap" /> gap
							</li>
						</ul>
					</div>
					<dl className="truth-facts">
						<div data-testid="recovery">
							<dt>Last fault</dt>
							<dd>{recovered}</dd>
						</div>
						<div data-testid="catch-up">
							<dt>Last catch-up</dt>
							<dd>{caughtUp}</dd>
						</div>
					</dl>
				</div>
			) : undefined}
		</section>
	);
}

/** The counters come from the comparison alone: before it there are none. */
function Counters({ outcome, isShown }: { readonly outcome: Outcome; readonly isShown: boolean | undefined }): ReactNode {
	const found = outcome.state === "compared" ? outcome : undefined;
	const wrong = found !== undefined && (isShown === false || found.lost + found.doubled + found.changed + found.disordered > 0);
	return (
		<p className="counters" data-testid="counters" data-state={found === undefined ? "unknown" : wrong ? "wrong" : "right"}>
			<Icon name={found === undefined ? "clock" : wrong ? "alert" : "check"} size={16} />
			<span>
				lost <b data-testid="lost">{found === undefined ? "–" : count(found.lost)}</b>
			</span>
			<span aria-hidden="true">·</span>
			<span>
				doubled <b data-testid="doubled">{found === undefined ? "–" : count(found.doubled)}</b>
			</span>
			{found !== undefined && found.changed > 0 ? (
				<span>
					changed <b>{count(found.changed)}</b>
				</span>
			) : undefined}
			{found !== undefined && found.disordered > 0 ? (
				<span>
					out of order <b>{count(found.disordered)}</b>
				</span>
			) : undefined}
			{isShown === false ? <span>the conversation shows something else</span> : undefined}
			{found?.firstWrong === undefined ? undefined : <span>first at offset {count(found.firstWrong)}</span>}
		</p>
	);
}

interface VerifiedProps {
	readonly outcome: Outcome;
	readonly isShown: boolean | undefined;
	readonly busy: boolean;
}

function Verified({ outcome, isShown, busy }: VerifiedProps): ReactNode {
	const now = useNow(outcome.state === "compared" ? 5_000 : undefined);
	return (
		<p className="verified" data-testid="verified">
			{busy ? "Comparing with the log…" : verifiedWords(outcome, isShown, now)}
		</p>
	);
}

function verifiedWords(outcome: Outcome, isShown: boolean | undefined, now: number): string {
	switch (outcome.state) {
		case "none":
			return "Compared by itself when an answer ends or a catch-up completes";
		case "unreadable":
			return `Not compared: the log could not be read (${outcome.reason})`;
		case "other_epoch":
			return "Not compared: the log has begun anew since";
		case "compared": {
			const ahead = outcome.ahead > 0 ? `, ${count(outcome.ahead)} on the way` : "";
			const shown = isShown === true ? "; shown as logged" : "";
			return `${plural(outcome.events, "event")} compared with the log ${ago(Math.max(0, now - outcome.at))}${ahead}${shown}`;
		}
	}
}
