"""The network: fetching wheels and pages, with retries, redirects, proxies, certificates and logins."""
