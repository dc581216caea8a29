/** Where what is kept of one user on one server is. */
export function scopeOf(url: string, user: string): string {
	return JSON.stringify([url, user]);
}
