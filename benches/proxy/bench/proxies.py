"""The proxies side by side: what each is called, and its configuration. Each has one thread, and the app has the same deadline."""

import os

from . import programs, webhook
from .process import descriptors

REFERENCE = "haproxy-wfb"

# In the order of the table, with the program that each needs.
NEEDS = {"understudy": None, "haproxy-wfb": "haproxy", "haproxy": "haproxy", "nginx": "nginx", "hyper": "cargo", "envoy": "envoy"}

TITLES = {
    "understudy": "understudy",
    "haproxy-wfb": "HAProxy, body checked",
    "haproxy": "HAProxy",
    "nginx": "nginx",
    "hyper": "bare hyper",
    "envoy": "Envoy",
}

NGINX = """worker_processes 1;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log crit;
daemon off;
master_process off;
events {{ worker_connections {nginx_connections}; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-fastcgi;
  uwsgi_temp_path {folder}/{name}-uwsgi;
  scgi_temp_path {folder}/{name}-scgi;
  default_type text/xml;
"""

NGINX_APP = """  server {{
    listen 127.0.0.1:{port} backlog=8192;
    location / {{ return 200 '{voice}'; }}
    location /new {{ return 200 '{new_voice}'; }}
    location /big {{ error_page 405 =200 /big.xml; alias {folder}/big.xml; }}
    location = /big.xml {{ root {folder}; }}
  }}
}}
"""

NGINX_PROXY = """  upstream app {{ server 127.0.0.1:{app}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_connect_timeout 1s;
      proxy_read_timeout {deadline}s;
      proxy_intercept_errors on;
      error_page 500 502 503 504 =200 /fallback.xml;
    }}
    location = /fallback.xml {{ internal; return 200 '{fallback}'; }}
  }}
}}
"""

HAPROXY = """global
  maxconn {connections}
  nbthread 1
  tune.bufsize {buffer}
defaults
  mode http
  timeout connect 1s
  timeout client 300s
  timeout server {deadline}s
  timeout http-keep-alive 300s
  http-reuse always
  option forwardfor
  errorfile 502 {folder}/fallback.http
  errorfile 503 {folder}/fallback.http
  errorfile 504 {folder}/fallback.http
frontend public
  bind 127.0.0.1:{port} backlog 8192 {tls}
  default_backend app
backend app
  server app 127.0.0.1:{app}
"""

HAPROXY_BODY = """  http-response wait-for-body time {deadline}s
  http-response return status 200 content-type text/xml file {folder}/fallback.xml if {{ status ge 400 }}
  http-response return status 200 content-type text/xml file {folder}/fallback.xml unless {{ res.body -m reg "<Response[ />].*</Response>|<Response */>" }}
"""

ENVOY = """static_resources:
  listeners:
    - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
      enable_reuse_port: false
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: public
                use_remote_address: true
                generate_request_id: false
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        - match: {{prefix: "/"}}
                          route: {{cluster: app, timeout: {deadline}s}}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
    - name: app
      connect_timeout: 1s
      type: STATIC
      circuit_breakers: {{thresholds: [{{max_connections: {descriptors}, max_pending_requests: {descriptors}, max_requests: {descriptors}}}]}}
      load_assignment:
        cluster_name: app
        endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {app}}}}}}}}}]}}]
"""

UNDERSTUDY = """[server]
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
workers = 1
max_connections = {connections}
{tls}
[upstream]
url = "http://127.0.0.1:{app}"
max_in_flight = {descriptors}

[upstreams.down]
url = "http://127.0.0.1:{closed}"
retry_connect = "0s"

[defaults]
deadline = "{deadline}s"
max_in_flight = {descriptors}
{routes}"""

UNDERSTUDY_ROUTE = """
[[route]]
name = "{name}"
path = "{path}"
kind = "voice"
fallback = {{ inline = '{fallback}' }}
{more}
"""


class Setup:
    """What a proxy is started with."""

    def __init__(self, folder, app, port, admin=0, closed=1, deadline=8, buffer=16384, tls=None, routes=None):
        self.folder, self.app, self.port = folder, app, port
        self.descriptors = descriptors()
        # Each connection of a client may have one to the app.
        self.connections = (self.descriptors - 200) // 2
        # Beyond the limit: nginx closes connections when fifteen of sixteen are in use.
        self.nginx_connections = 2 * self.descriptors
        # Only of understudy: its admin listener, and a port on which nobody listens.
        self.admin, self.closed = admin, closed
        # How long the app may take, in seconds.
        self.deadline = deadline
        # Only of HAProxy, which checks no body that is longer: the size of a buffer, in bytes.
        self.buffer = buffer
        # The path of a PEM file without its ending: certificate and key together, and each alone.
        self.tls = tls
        # Only of understudy: its routes' text.
        self.routes = routes


def installed():
    """The names of the proxies that can be measured here."""
    return [name for name, program in NEEDS.items() if program is None or programs.find(program)]


def route(name, path, more=""):
    return UNDERSTUDY_ROUTE.format(name=name, path=path, more=more, fallback=webhook.FALLBACK)


def app_command(folder, port):
    """Writes the app's files, and returns the command that runs it."""
    write(folder, "big.xml", webhook.BIG)
    text = NGINX + NGINX_APP
    text = text.format(folder=folder, name="app", port=port, voice=webhook.VOICE, new_voice=webhook.NEW_VOICE, nginx_connections=descriptors())
    return [programs.find("nginx"), "-c", write(folder, "app.conf", text)]


def command(name, setup, understudy):
    """Writes a proxy's configuration, and returns the command that runs it."""
    if name == "understudy":
        return [understudy, "run", "--config", understudy_config(setup)]
    if name.startswith("haproxy"):
        return [programs.find("haproxy"), "-db", "-f", haproxy_config(name, setup)]
    if name == "nginx":
        text = NGINX + NGINX_PROXY
        text = text.format(name="nginx-%d" % setup.port, fallback=webhook.FALLBACK, **vars(setup))
        return [programs.find("nginx"), "-c", write(setup.folder, "nginx-%d.conf" % setup.port, text)]
    if name == "envoy":
        path = write(setup.folder, "envoy-%d.yaml" % setup.port, ENVOY.format(**vars(setup)))
        return [programs.find("envoy"), "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return [programs.build("hyper"), "127.0.0.1:%d" % setup.port, "127.0.0.1:%d" % setup.app]


def understudy_config(setup):
    tls = '[server.tls]\ncert = "%s.crt"\nkey = "%s.key"\n' % (setup.tls, setup.tls) if setup.tls else ""
    routes = setup.routes or (
        route("voice", "/voice") + route("new", "/new") + route("big", "/big") + route("down", "/down", 'upstream = "down"\nbreaker.probe_every = "30s"')
    )
    text = UNDERSTUDY.format(**{**vars(setup), "tls": tls, "routes": routes})
    return write(setup.folder, "understudy-%d.toml" % setup.port, text)


def haproxy_config(name, setup):
    write(setup.folder, "fallback.xml", webhook.FALLBACK)
    head = "HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(webhook.FALLBACK)
    write(setup.folder, "fallback.http", head + webhook.FALLBACK)
    text = HAPROXY + (HAPROXY_BODY if name == "haproxy-wfb" else "")
    tls = "ssl crt %s.pem" % setup.tls if setup.tls else ""
    return write(setup.folder, "%s-%d.cfg" % (name, setup.port), text.format(**{**vars(setup), "tls": tls}))


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", newline="") as file:
        file.write(text)
    return path
