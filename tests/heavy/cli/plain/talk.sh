#!/usr/bin/env bash
# A talking video with curl and the vendor's documentation alone.
#   talk.sh BASE_URL TOKEN json|form FILE         prints "EMAIL TASK_ID WORK_ID"
# POLL_S: seconds between two looks at the task, 20 as in the vendor's samples.
set -euo pipefail
base=$1 token=$2 encoding=$3 file=$4

api() { curl -sS --fail-with-body --noproxy '*' -H "Authorization: Bearer $token" "$@"; }
first() { sed -E "s/.*\"$1\": *\"?([^\",}]*).*/\1/"; } # of a line that begins with the key
find_first() { grep -oE "\"$1\": *(\"[^\"]*\"|[^,}]*)" | head -n 1 | first "$1"; }

email=$(api "$base/accounts" | find_first email)
image=https://pictures.example/ada.png audio=https://sounds.example/ada.mp3
if [ "$encoding" = json ]; then
  made=$(api "$base/avatars/video" -H 'Content-Type: application/json' \
    -d "{\"email\": \"$email\", \"imageUrl\": \"$image\", \"audioUrl\": \"$audio\", \"mode\": \"std\", \"maxJobs\": 5}")
else
  made=$(api "$base/avatars/video" -F "email=$email" -F "imageUrl=$image" -F "audioUrl=$audio" \
    -F mode=std -F maxJobs=5)
fi
task=$(grep -oE '"task": *\{"id": *[0-9]+' <<< "$made" | grep -oE '[0-9]+$')

while :; do
  record=$(api -G "$base/tasks/$task" --data-urlencode "email=$email")
  if [ "$(find_first status_final <<< "$record")" = true ]; then break; fi
  sleep "${POLL_S:-20}"
done
[ "$(find_first status_name <<< "$record")" = succeed ] || { echo "$record" >&2; exit 1; }

work=$(find_first workId <<< "$record")
url=$(api -G "$base/assets/download" --data-urlencode "email=$email" \
  -d "workIds=$work" -d fileTypes=MP4 | find_first cdnUrl)
curl -sS --fail --noproxy '*' -o "$file" "$url"
echo "$email $task $work"
