/** The page with its client. In a file of its own: when this file is edited, Fast Refresh makes another client. */
import { AgentwireProvider } from "agentwire/react";
import type { ReactNode } from "react";
import { SessionProvider, useObserved } from "./components/hooks.tsx";
import { Watch } from "./components/watch.tsx";
import { Page } from "./page.tsx";
import type { Session } from "./session.ts";

export function App({ session }: { readonly session: Session }): ReactNode {
	const { life, options } = useObserved(session, (one) => one.life);
	return (
		<SessionProvider value={session}>
			<AgentwireProvider key={life} options={options}>
				<Watch />
				<Page />
			</AgentwireProvider>
		</SessionProvider>
	);
}
