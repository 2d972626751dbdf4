{{/* fovea.nginx says how browsers are served: the files of the image, and what they ask
the backend for. */}}
{{- define "fovea.nginx" -}}
server {
    listen 8081;
    {{- if .Values.ui.ipv6 }}
    listen [::]:8081;
    {{- end }}
    root /app;
    server_tokens off;
    # Whoever forwards a port has another one than this.
    absolute_redirect off;

    # Calls for the backend.
    location /api/ {
        proxy_pass http://127.0.0.1:8090;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
    }

    location = /healthz {
        access_log off;
        return 204;
    }

    # The pages are one file, which reads their paths.
    location / {
        try_files $uri /index.html;
    }
}
{{- end }}
