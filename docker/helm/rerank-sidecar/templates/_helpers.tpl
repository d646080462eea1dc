{{- define "rerank-sidecar.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "rerank-sidecar.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "rerank-sidecar.labels" -}}
{{ include "rerank-sidecar.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* The scorers by name, so that the service can tell which is busy or gone. */}}
{{- define "rerank-sidecar.scorers" -}}
{{- $name := include "rerank-sidecar.name" . }}
{{- $urls := list }}
{{- range $i := until (int .Values.scorers.replicas) }}
{{- $urls = append $urls (printf "http://%s-scorer-%d.%s-scorer:9281" $name $i $name) }}
{{- end }}
{{- join "," $urls }}
{{- end }}

{{/*
A value as a variable holds it: names with commas between, tables and lists of tables as JSON. Numbers are written out,
where toString makes 1e+07 of 10000000, which is no whole number to the service.
*/}}
{{- define "rerank-sidecar.value" -}}
{{- if kindIs "string" . }}{{ . }}
{{- else if and (kindIs "slice" .) (not (kindIs "map" (first .))) }}{{ join "," . }}
{{- else }}{{ toJson . }}{{ end }}
{{- end }}

{{/*
The pod of the service or of a scorer. `about` holds its values, `component` its name, `ready` its readiness path,
`settings` its settings, `port` the port of its probes.
*/}}
{{- define "rerank-sidecar.pod" -}}
{{- $gpus := int .about.gpus -}}
metadata:
  labels: {{- include "rerank-sidecar.labels" . | nindent 4 }}
  annotations:
    {{- with .about.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
    checksum/config: {{ .config | sha256sum }}
spec:
  # A Service named sidecar would otherwise set variables such as SIDECAR_PORT.
  enableServiceLinks: false
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ add .root.Values.drainSeconds .root.Values.preStopSeconds 10 }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: sidecar
      image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}{{ if and $gpus (not .root.Values.image.tag) }}-cuda{{ end }}"
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      env:
        {{- range $name, $value := .settings }}
        - {name: {{ printf "SIDECAR_%s" (upper $name) }}, value: {{ include "rerank-sidecar.value" $value | quote }}}
        {{- end }}
        {{- range $name, $value := .root.Values.env }}
        - {name: {{ $name }}, value: {{ include "rerank-sidecar.value" $value | quote }}}
        {{- end }}
      {{- with .about.existingSecret }}
      envFrom:
        - secretRef: {name: {{ . }}}
      {{- end }}
      ports:
        - {name: opensearch, containerPort: 9280}
        - {name: rerank, containerPort: 9281}
      startupProbe:
        httpGet: {path: /_sidecar/health/live, port: opensearch}
        periodSeconds: 5
        failureThreshold: {{ max 1 (div (int .root.Values.startSeconds) 5) }}
      livenessProbe:
        httpGet: {path: /_sidecar/health/live, port: opensearch}
        periodSeconds: 10
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: {{ .ready }}, port: {{ .port }}}
        periodSeconds: 5
        timeoutSeconds: 5
      lifecycle:
        preStop:
          exec: {command: [python, -c, "import time; time.sleep({{ .root.Values.preStopSeconds }})"]}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      resources:
        requests: {{- toYaml .about.resources.requests | nindent 10 }}
        limits:
          {{- toYaml .about.resources.limits | nindent 10 }}
          {{- if $gpus }}
          nvidia.com/gpu: {{ $gpus }}
          {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: models, mountPath: /var/lib/sidecar/models}
        {{- if .config }}
        - {name: config, mountPath: /var/lib/sidecar/sidecar.toml, subPath: sidecar.toml, readOnly: true}
        {{- end }}
  volumes:
    - {name: tmp, emptyDir: {}}
    {{- if .about.models.existingClaim }}
    - {name: models, persistentVolumeClaim: {claimName: {{ .about.models.existingClaim }}}}
    {{- else if not .about.models.volumeSize }}
    - {name: models, emptyDir: {sizeLimit: {{ .about.models.sizeLimit }}}}
    {{- end }}
    {{- if .config }}
    - {name: config, configMap: {name: {{ include "rerank-sidecar.name" .root }}}}
    {{- end }}
  {{- with .about.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .about.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .about.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "rerank-sidecar.selector" . | nindent 10 }}
{{- end }}
