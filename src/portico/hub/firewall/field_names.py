"""Names of header fields that do not pass, and whose they are: tables, and nothing that acts.

A name is looked up in lower case, with hyphens for underscores: to CGI and WSGI both are one.
"""

from __future__ import annotations

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# --- from visitors ----------------------------------------------------------------------------------------------

NOT_FROM_VISITORS = HOP_BY_HOP | {
    # Jupyter's proof against forged requests
    b"x-xsrftoken",
    # where a request comes from, and under which name: the hub says so in X-Forwarded-*
    b"forwarded",
    b"client-ip",
    b"true-client-ip",
    b"http-client-ip",
    b"proxy-client-ip",
    b"wl-proxy-client-ip",
    b"x-client-ip",
    b"x-client-port",
    b"x-cluster-client-ip",
    b"x-originating-ip",
    b"x-proxyuser-ip",
    b"x-remote-ip",
    b"x-true-client-ip",
    b"x-http-client-ip",
    b"x-proxy-client-ip",
    b"x-clientip",
    b"x-sucuri-clientip",
    b"incap-client-ip",
    b"ali-cdn-real-ip",
    b"cdn-real-ip",
    b"cdn-src-ip",
    b"x-host",
    b"x-http-host-override",
    b"x-scheme",
    b"x-url-scheme",
    b"x-appservice-proto",
    b"cloudfront-forwarded-proto",
    b"x-https",
    b"https",
    b"x-host-override",
    b"front-end-https",
    b"cf-connecting-ip",
    b"cf-connecting-ipv6",
    b"cf-connecting-o2o",
    b"cf-pseudo-ipv4",
    b"cf-visitor",
    b"cloudfront-viewer-address",
    b"do-connecting-ip",
    b"fastly-client-ip",
    b"fastly-ssl",
    b"fly-client-ip",
    b"x-azure-clientip",
    b"x-azure-socketip",
    b"x-nf-client-connection-ip",
    b"x-vercel-forwarded-for",
    b"x-vercel-proxied-for",
    # which path is asked for: the request line says so
    b"x-rewrite-url",
    b"x-override-url",
    b"x-waws-unencoded-url",
    b"x-replaced-path",
    b"x-ingress-path",
    b"x-path-info",
    b"request-uri",
    b"x-script-name",
    b"script-name",
    b"path-info",
    b"path-translated",
    # who calls: the hub says so in the scope
    b"x-authenticated-user",
    b"x-authenticated-userid",
    b"x-authenticated-groups",
    b"x-webauth-user",
    b"client-cert",  # RFC 9440
    b"client-cert-chain",
    b"x-client-cert",
    b"x-client-verify",
    b"x-userinfo",
    b"x-jwt-assertion",
    b"x-anonymous-consumer",
    b"x-amzn-request-context",  # of AWS Lambda's adapter, with who calls in it
    b"x-amzn-lambda-context",
    # what a server takes for an order of the one before it
    b"proxy",  # HTTP_PROXY to CGI, by which it would send its own requests through the visitor's ("httpoxy")
    b"x-middleware-subrequest",  # Next.js takes it for its own, and asks for no login
}

PREFIXES_NOT_FROM_VISITORS = (
    b"x-forward",  # x-forwarded, x-forwarded-*, x-forward-for, x-forward-proto
    b"forwarded-",
    b"x-original-",  # -url, -uri, -host, -for, -remote-addr: IIS, ingress-nginx, Symfony
    b"x-real-",
    b"x-accel-",  # -mapping, by which Rack finds files for nginx
    b"x-sendfile-",
    b"surrogate-",
    b"remote-",  # -user, -groups, -email, -addr
    b"x-remote-",
    b"x-auth-request-",  # oauth2-proxy
    b"x-authentik-",
    b"x-vouch-",
    b"x-pomerium-",
    b"x-goog-authenticated-user-",
    b"x-goog-iap-",
    b"x-ms-client-principal",
    b"x-amzn-oidc-",
    b"x-amzn-mtls-",
    b"cf-access-",
    b"tailscale-user-",
    b"x-consumer-",  # Kong
    b"x-credential-",
    b"x-ms-token-",
    # of one provider's proxy: addresses, schemes, who calls
    b"x-appengine-",
    b"x-arr-",
    b"x-envoy-",
    b"fly-forwarded-",
    b"ssl-",
    b"x-ssl-",
    b"x-client-ssl-",
)

# --- from apps --------------------------------------------------------------------------------------------------

NOT_FROM_APPS = HOP_BY_HOP | {
    # what a browser remembers for every page of the origin, or of its host
    b"accept-ch",
    b"critical-ch",
    b"alt-svc",
    b"alt-used",
    b"clear-site-data",
    b"expect-ct",
    b"expect-staple",
    b"nel",
    b"origin-agent-cluster",
    b"public-key-pins",
    b"public-key-pins-report-only",
    b"report-to",
    b"service-worker-allowed",
    b"set-cookie2",
    b"set-login",
    b"sec-session-registration",
    b"secure-session-registration",
    b"secure-session-challenge",
    b"strict-transport-security",
    b"use-as-dictionary",
    b"attribution-reporting-register-source",
    b"attribution-reporting-register-trigger",
    b"observe-browsing-topics",
    b"shared-storage-write",
    # what a proxy in front takes for an order: send that file, ask there, keep this, throw that away
    b"x-archive-files",
    b"x-sendfile",
    b"x-sendfile2",
    b"x-send-file",
    b"cache-tag",
    b"edge-cache-tag",
    b"edge-control",
    b"xkey",
    b"fly-replay",
    b"fly-replay-cache",
    # what only a proxy can say, or a CGI program to its own server
    b"via",
    b"status",
}

PREFIXES_NOT_FROM_APPS = (
    b"x-accel-",
    b"x-sendfile-",
    b"x-lighttpd-",
    b"x-litespeed-",
    b"x-reproxy-",
    b"x-proxy-",
    b"proxy-",
    b"surrogate-",
    b"x-envoy-",
    b"x-middleware-",
)

SUFFIX_NOT_FROM_APPS = b"cdn-cache-control"
"""Of RFC 9213, with the name of somebody's network before it or not."""
