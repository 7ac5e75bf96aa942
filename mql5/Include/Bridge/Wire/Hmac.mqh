//+------------------------------------------------------------------+
//|                                                         Hmac.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// SHA-256, HMAC-SHA256 (RFC 2104), the tags of frames, the proofs and keys of the logon.
// May touch: CryptEncode. No files, sockets, orders; nothing here prints a key.
// Rule: CryptEncode's hash of empty data is not documented, so nothing empty is hashed.
// What must change together: this file, bridge/wire/auth.py, "Logon" in
// docs/reference/wire-protocol.md, tests/vectors/wire/hmac.json and logon.json.

#ifndef BRIDGE_WIRE_HMAC_MQH
#define BRIDGE_WIRE_HMAC_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Spec.mqh>

#define SHA256_SIZE  32
#define SHA256_BLOCK 64

//+------------------------------------------------------------------+
//| A plain hash.                                                    |
//+------------------------------------------------------------------+
class CSha256
  {
public:
   // Fill out with the 32 bytes of the hash of the whole array; false: the terminal refused.
   static bool       Hash(const uchar &data[],uchar &out[]);
  };

bool CSha256::Hash(const uchar &data[],uchar &out[])
  {
   uchar no_key[];
   if(ArraySize(data)==0)
      return(false);
   return(CryptEncode(CRYPT_HASH_SHA256,data,no_key,out)==SHA256_SIZE && ArraySize(out)>=SHA256_SIZE);
  }

//+------------------------------------------------------------------+
//| HMAC with one key; both padded key blocks are kept.              |
//+------------------------------------------------------------------+
class CHmac
  {
private:
   uchar             m_inner[];       // the inner key block, then the data of the present call
   uchar             m_outer[];       // the outer key block, then the inner hash
   uchar             m_hash[];
   bool              m_ready;

public:
                     CHmac(void);
   bool              Key(const uchar &key[]);
   void              Forget(void);
   bool              Ready(void) const { return(m_ready); }
   // The 32 bytes over data[begin..begin+count); they are in Hash() then, until the next call.
   bool              Run(const uchar &data[],const int begin,const int count);
   bool              CopyHash(uchar &out[],const int count) const;
   uchar             HashByte(const int index) const { return(index>=0 && index<ArraySize(m_hash) ? m_hash[index] : (uchar)0); }
   // Whether the first count bytes of the last hash stand at a place, in constant time.
   bool              SameAs(const uchar &data[],const int at,const int count) const;
   // The cases of RFC 4231: false: do not log on with this terminal.
   static bool       SelfTest(string &problem);

private:
   static bool       Case(const string key,const string data,const string expected);
  };

CHmac::CHmac(void) : m_ready(false)
  {
  }

bool CHmac::Key(const uchar &key[])
  {
   uchar block[];
   m_ready=false;
   int size=ArraySize(key);
   if(size>SHA256_BLOCK)
     {
      if(!CSha256::Hash(key,block))
         return(false);
      size=SHA256_SIZE;
     }
   else
      if(size==0 || ArrayResize(block,size)!=size || ArrayCopy(block,key,0,0,size)!=size)
         return(false);
   if(ArrayResize(m_inner,SHA256_BLOCK,WIRE_FRAME_MAX+SHA256_BLOCK)!=SHA256_BLOCK ||
      ArrayResize(m_outer,SHA256_BLOCK+SHA256_SIZE)!=SHA256_BLOCK+SHA256_SIZE)
      return(false);
   for(int i=0; i<SHA256_BLOCK; i++)
     {
      uint value=(i<size ? (uint)block[i] : 0);
      m_inner[i]=(uchar)(value^0x36);
      m_outer[i]=(uchar)(value^0x5C);
     }
   for(int i=0; i<SHA256_SIZE; i++)
      m_outer[SHA256_BLOCK+i]=0;
   m_ready=true;
   return(true);
  }

// Overwrite the key.
void CHmac::Forget(void)
  {
   if(ArraySize(m_inner)>0)
      ArrayInitialize(m_inner,0);
   if(ArraySize(m_outer)>0)
      ArrayInitialize(m_outer,0);
   m_ready=false;
  }

bool CHmac::Run(const uchar &data[],const int begin,const int count)
  {
   if(!m_ready || !Fits(ArraySize(data),begin,count))
      return(false);
   int size=SHA256_BLOCK+count;
   //--- the reserve keeps the memory, so that a size for each frame costs nothing
   if(ArrayResize(m_inner,size,WIRE_FRAME_MAX+SHA256_BLOCK)!=size)
      return(false);
   if(count>0 && ArrayCopy(m_inner,data,SHA256_BLOCK,begin,count)!=count)
      return(false);
   if(!CSha256::Hash(m_inner,m_hash))
      return(false);
   if(ArrayCopy(m_outer,m_hash,SHA256_BLOCK,0,SHA256_SIZE)!=SHA256_SIZE)
      return(false);
   return(CSha256::Hash(m_outer,m_hash));
  }

bool CHmac::CopyHash(uchar &out[],const int count) const
  {
   if(count<0 || count>SHA256_SIZE || ArraySize(m_hash)<count)
      return(false);
   if(ArraySize(out)!=count && ArrayResize(out,count)!=count)
      return(false);
   return(count==0 || ArrayCopy(out,m_hash,0,0,count)==count);
  }

bool CHmac::SameAs(const uchar &data[],const int at,const int count) const
  {
   if(count<=0 || count>SHA256_SIZE || ArraySize(m_hash)<count || !Fits(ArraySize(data),at,count))
      return(false);
   uint difference=0;
   for(int i=0; i<count; i++)
      difference|=(uint)m_hash[i]^(uint)data[at+i];
   return(difference==0);
  }

bool CHmac::Case(const string key,const string data,const string expected)
  {
   uchar key_bytes[];
   uchar data_bytes[];
   uchar wanted[];
   CHmac hmac;
   int count=HexToBytes(data,data_bytes);
   if(HexToBytes(key,key_bytes)<=0 || count<=0 || HexToBytes(expected,wanted)!=SHA256_SIZE)
      return(false);
   return(hmac.Key(key_bytes) && hmac.Run(data_bytes,0,count) && hmac.SameAs(wanted,0,SHA256_SIZE));
  }

bool CHmac::SelfTest(string &problem)
  {
   string long_key="";
   for(int i=0; i<131; i++)
      long_key+="aa";
   string dd="";
   for(int i=0; i<50; i++)
      dd+="dd";
   bool sound=true;
   //--- cases 1, 2, 3 and 6 of RFC 4231
   sound=Case("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b","4869205468657265",
              "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7") && sound;
   sound=Case("4a656665","7768617420646f2079612077616e7420666f72206e6f7468696e673f",
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") && sound;
   sound=Case("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",dd,
              "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe") && sound;
   sound=Case(long_key,"54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54") && sound;
   if(!sound)
      problem="this terminal's CryptEncode does not give the SHA-256 that RFC 4231 demands: the bridge cannot log on";
   return(sound);
  }

// Compare two pieces of bytes in constant time.
bool SameBytes(const uchar &first[],const int first_at,const uchar &second[],const int second_at,const int count)
  {
   if(count<=0 || !Fits(ArraySize(first),first_at,count) || !Fits(ArraySize(second),second_at,count))
      return(false);
   uint difference=0;
   for(int i=0; i<count; i++)
      difference|=(uint)first[first_at+i]^(uint)second[second_at+i];
   return(difference==0);
  }

//+------------------------------------------------------------------+
//| What follows from a key and a transcript.                        |
//+------------------------------------------------------------------+
class CLogonSecrets
  {
public:
   uchar             m_transcript[];
   uchar             m_relay_proof[];
   uchar             m_terminal_proof[];
   uchar             m_relay_key[];
   uchar             m_terminal_key[];

   // hello: the body of HELLO as it was on the wire; challenge: that of CHALLENGE, whose last 32
   // bytes, the proof, are left out.
   bool              Derive(const uchar &key[],const uchar &hello[],const uchar &challenge[]);
   void              Forget(void);

private:
   bool              Labelled(CHmac &hmac,const string label,uchar &out[]) const;
   void              Overwrite(uchar &data[]) const;
  };

bool CLogonSecrets::Derive(const uchar &key[],const uchar &hello[],const uchar &challenge[])
  {
   int fields=ArraySize(challenge)-WIRE_PROOF_SIZE;
   CByteBuffer said;
   uchar text[];
   CHmac hmac;
   if(fields<0)
      return(false);
   said.U32LE((uint)ArraySize(hello));
   said.AppendAll(hello);
   if(!said.Append(challenge,0,fields) || !said.ToArray(text) || !CSha256::Hash(text,m_transcript) || !hmac.Key(key))
      return(false);
   bool sound=Labelled(hmac,WIRE_LABEL_RELAY_PROOF,m_relay_proof) &&
              Labelled(hmac,WIRE_LABEL_TERMINAL_PROOF,m_terminal_proof) &&
              Labelled(hmac,WIRE_LABEL_RELAY_KEY,m_relay_key) &&
              Labelled(hmac,WIRE_LABEL_TERMINAL_KEY,m_terminal_key);
   hmac.Forget();
   return(sound);
  }

bool CLogonSecrets::Labelled(CHmac &hmac,const string label,uchar &out[]) const
  {
   CByteBuffer data;
   if(!data.AppendText(label) || !data.Append(m_transcript,0,SHA256_SIZE))
      return(false);
   return(hmac.Run(data.m_data,0,data.Size()) && hmac.CopyHash(out,SHA256_SIZE));
  }

void CLogonSecrets::Overwrite(uchar &data[]) const
  {
   if(ArraySize(data)>0)
      ArrayInitialize(data,0);
  }

void CLogonSecrets::Forget(void)
  {
   Overwrite(m_relay_proof);
   Overwrite(m_terminal_proof);
   Overwrite(m_relay_key);
   Overwrite(m_terminal_key);
  }

#endif // BRIDGE_WIRE_HMAC_MQH
