{{/* fovea.expires is the day, in UTC, on which a certificate of a moment, now, ends that is
valid for so many days. */}}
{{- define "fovea.expires" -}}
{{ dateInZone "2006-01-02" (.now | dateModify (printf "+%dh" (mul 24 (int .days)))) "UTC" }}
{{- end }}

{{/* fovea.fresh is "yes" for a Secret of the chart whose certificate can stay: it is for
these names, and valid at a moment, now, for a third of the days at least and for no more
than all. For any other, and for none, it is empty. */}}
{{- define "fovea.fresh" -}}
{{- $data := dig "data" dict .secret -}}
{{- $said := dig "metadata" "annotations" dict .secret -}}
{{- $expires := get $said "fovea-obs.github.io/expires" -}}
{{- if and $expires (eq .names (get $said "fovea-obs.github.io/names")) (hasKey $data "tls.crt") (hasKey $data "tls.key") -}}
{{- $left := sub (toDate "2006-01-02" $expires | unixEpoch | int64) (.now | unixEpoch | int64) -}}
{{- if and (ge $left (mul (int .days) 28800)) (le $left (mul (int .days) 86400)) -}}
yes
{{- end -}}
{{- end -}}
{{- end }}
