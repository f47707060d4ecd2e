"""``/docs``: the OpenAPI document as a page that needs nothing from elsewhere (no CDN, no cookies)."""

from __future__ import annotations

import base64
import hashlib

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
details{border:1px solid #d0d7de;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f6f8fa;padding:.6rem;overflow:auto;border-radius:6px}
b.m{display:inline-block;width:4.5rem}h2{margin:1.6rem 0 .4rem}
"""
_SCRIPT = """
const el=(t,p,x)=>{const e=document.createElement(t);if(x!==undefined)e.textContent=x;p.append(e);return e};
const put=(p,h,v)=>{el('h4',p,h);el('pre',p,typeof v==='string'?v:JSON.stringify(v,null,2))};
fetch('/openapi.json').then(r=>r.json()).then(d=>{
 const root=document.getElementById('calls');
 document.getElementById('about').textContent=d.info.description||'';
 for(const [path,ops] of Object.entries(d.paths))for(const [m,o] of Object.entries(ops)){
  const box=el('details',root),s=el('summary',box);el('b',s,m.toUpperCase()).className='m';
  el('code',s,path);el('span',s,'  '+(o.summary||''));
  if(o.description)el('p',box,o.description);
  if(o.parameters)put(box,'Parameters',o.parameters);
  for(const [t,c] of Object.entries((o.requestBody||{}).content||{}))
   put(box,'Body ('+t+')',c.examples||c.schema);
  for(const [code,r] of Object.entries(o.responses))
   el('p',box,code+'  '+r.description+'  '+Object.keys(r.content||{}).join(', '));
 }
 const types=document.getElementById('types');
 for(const [n,s] of Object.entries(d.components.schemas)){
  const b=el('details',types);el('summary',b,n);el('pre',b,JSON.stringify(s,null,2))}
}).catch(()=>{document.getElementById('calls').textContent='/openapi.json could not be loaded.'});
"""
_PAGE = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Kubetriage API</title>
<style>{_STYLE}</style></head><body><h1>Kubetriage API</h1><p id="about"></p>
<p>The whole document: <a href="/openapi.json">/openapi.json</a></p>
<h2>Calls</h2><div id="calls"></div><h2>Types</h2><div id="types"></div>
<script>{_SCRIPT}</script></body></html>"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


_POLICY = (
    f"default-src 'none'; connect-src 'self'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/docs")
async def docs() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})
