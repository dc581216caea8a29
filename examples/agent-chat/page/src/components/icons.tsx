/** Icons, drawn on a grid of 20. They are decoration: the words stand beside them. */
import type { ReactNode } from "react";

const PATHS = {
	alert: <path d="M10 3.2 17.4 16H2.6L10 3.2ZM10 8v4M10 14.2v.1" />,
	arrowDown: <path d="M10 4v12M5 11l5 5 5-5" />,
	arrowUp: <path d="M10 16V4M5 9l5-5 5 5" />,
	bolt: <path d="M11 2.5 4.5 11.5h4.7L9 17.5l6.5-9h-4.7L11 2.5Z" />,
	check: <path d="m4.5 10.5 3.6 3.6 7.4-8" />,
	chevron: <path d="m7.5 5 5 5-5 5" />,
	clock: <path d="M10 5.5V10l3 2M17 10a7 7 0 1 1-14 0 7 7 0 0 1 14 0Z" />,
	close: <path d="m5 5 10 10M15 5 5 15" />,
	copy: <path d="M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3" />,
	cut: <path d="M3 10h3.5M13.5 10H17M8 6.5l1 7M12 6.5l-1 7" />,
	edit: <path d="m4 16 .8-3.3 8.6-8.6 2.5 2.5-8.6 8.6L4 16ZM11.6 5.9l2.5 2.5" />,
	hand: (
		<path d="M6.5 10V5.2a1.2 1.2 0 0 1 2.4 0V9M8.9 9V3.9a1.2 1.2 0 0 1 2.4 0V9M11.3 9V5a1.2 1.2 0 0 1 2.4 0v6.5M6.5 11.5 5.3 10a1.2 1.2 0 0 0-1.9 1.5l3 4.2c.8 1.1 1.8 1.8 3.4 1.8h.8c2 0 3.1-1.6 3.1-3.6V8" />
	),
	freeze: <path d="M10 2.5v15M3.5 6.2l13 7.6M16.5 6.2l-13 7.6M8 4l2 1.7L12 4M8 16l2-1.7 2 1.7" />,
	key: <path d="M12.8 11a3.9 3.9 0 1 0-3.6-2.4L3 14.8V17h2.6v-2h2v-2l1.9-1.9c.8.5 2 .8 3.3-.1ZM13.5 6.5v.1" />,
	menu: <path d="M3.5 6h13M3.5 10h13M3.5 14h13" />,
	moon: <path d="M16.5 11.8A7 7 0 0 1 8.2 3.5a7 7 0 1 0 8.3 8.3Z" />,
	offline: <path d="M3 3l14 14M3.2 8.2a10 10 0 0 1 3.3-2M9 5.1a10 10 0 0 1 7.8 3.1M5.8 11a6 6 0 0 1 3-1.6M12.7 10.3l1.5.9M10 15v.1" />,
	orphan: <path d="M6 10h8M17 10a7 7 0 1 1-14 0 7 7 0 0 1 14 0Z" />,
	plus: <path d="M10 4v12M4 10h12" />,
	repeat: <path d="M4 9a6 6 0 0 1 10.6-3L16 7.5M16 3.5v4h-4M16 11a6 6 0 0 1-10.6 3L4 12.5M4 16.5v-4h4" />,
	restart: <path d="M15.5 6.5A6.8 6.8 0 1 0 16.8 11M16 3v4h-4" />,
	search: <path d="m17 17-4-4M14.5 9a5.5 5.5 0 1 1-11 0 5.5 5.5 0 0 1 11 0Z" />,
	stop: <path d="M6 6h8v8H6z" fill="currentColor" />,
	sun: (
		<path d="M10 6.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7ZM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M4.3 15.7l1.1-1.1M14.6 5.4l1.1-1.1" />
	),
	trash: <path d="M4 6h12M8 6V4h4v2M5.5 6l.7 10.5h7.6L14.5 6M8.5 9v4.5M11.5 9v4.5" />,
	wire: <path d="M2 12h3.4l2.2-6 3 9 2.2-6 1 3H18" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }): ReactNode {
	return (
		<svg
			className="icon"
			width={size}
			height={size}
			viewBox="0 0 20 20"
			fill="none"
			stroke="currentColor"
			strokeWidth="1.6"
			strokeLinecap="round"
			strokeLinejoin="round"
			aria-hidden="true"
		>
			{PATHS[name]}
		</svg>
	);
}
